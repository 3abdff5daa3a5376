"""The listening page of a voice: sentences in each emotion and style, and their prosody metrics."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kubevoice_training.evaluation.media import mel_picture, mp3
from kubevoice_training.evaluation.prosody_metrics import ProsodySample, compute_median
from kubevoice_training.pages.html import document, section, table, text
from kubevoice_training.pages.media import picture, player

__all__ = ["listening_page"]

CHINESE = {
    "neutral": "中性", "happy": "开心", "sad": "悲伤", "angry": "生气", "serious": "严肃",
    "polite": "礼貌", "narrative": "叙述", "encouraging": "鼓励", "calm": "平静", "urgent": "急切",
}  # fmt: skip
HEAD = (
    "情感与风格 Emotion, style",
    "基频 Median F0, Hz",
    "基频范围 F0 range, semitones",
    "语速 Syllables/s",
    "响度 LUFS",
)
EXPLAINED = (
    "以下各句的中位数；基频范围为第 10 至第 90 百分位。各频谱图亮度尺度相同，同一句的时间尺度也相同。<br>"
    "Medians over the sentences below; the F0 range lies between percentiles 10 and 90. All spectrograms share one "
    "scale of brightness, those of a sentence also one of time."
)


def listening_page(voice: str, speaker: str, sample_rate: int, samples: Mapping[str, Sequence[ProsodySample]]) -> str:
    """Return the page of the same sentences in each emotion; at least one emotion and one sentence."""
    return document(f"{voice}: 试听 Listening", _parts(voice, speaker, sample_rate, samples))


def _parts(voice: str, speaker: str, sample_rate: int, samples: Mapping[str, Sequence[ProsodySample]]) -> Iterator[str]:
    yield f"<header><h1>{text(voice)}: 试听 Listening</h1>"
    yield f'<p class="quiet">说话人 Speaker: {text(speaker)}. 合成语音。The speech is synthetic.</p></header>'
    yield section("测量 Measured", _measures(samples), f'<p class="quiet">{EXPLAINED}</p>')
    for number, spoken in enumerate(zip(*samples.values(), strict=True), 1):
        yield section(f"{number}. {spoken[0].text}", _sentence(samples, spoken, sample_rate))


def _name(emotion: str) -> str:
    return f"{CHINESE.get(emotion, '')} {emotion}".strip()


def _measures(samples: Mapping[str, Sequence[ProsodySample]]) -> str:
    rows = []
    for emotion, spoken in samples.items():
        median = compute_median([each.prosody for each in spoken])
        figures = (f"{median.f0:.0f}", f"{median.f0_range:.1f}", f"{median.rate:.1f}", f"{median.level:.1f}")
        rows.append((text(_name(emotion)), *figures))
    return table(HEAD, rows)


def _sentence(
    emotions: Mapping[str, Sequence[ProsodySample]], spoken: Sequence[ProsodySample], sample_rate: int
) -> str:
    longest = max(len(each.features.mel) for each in spoken)
    parts = []
    for emotion, each in zip(emotions, spoken, strict=True):
        mel = np.pad(each.features.mel, ((0, longest - len(each.features.mel)), (0, 0)))
        shown = picture(mel_picture(mel), f"频谱图 spectrogram, {emotion}") + player(mp3(each.audio, sample_rate))
        parts.append(f"<figure><figcaption>{text(_name(emotion))}</figcaption>{shown}</figure>\n")
    return f'<div class="takes">{"".join(parts)}</div>'
