"""The listening page of a voice: sentences in each emotion and style, and their prosody metrics."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kubevoice_training.evaluation.media import draw_mel, encode_mp3
from kubevoice_training.evaluation.prosody_metrics import ProsodySample, compute_median
from kubevoice_training.pages.html import escape_text, render_document, render_section, render_table
from kubevoice_training.pages.media import render_picture, render_player

__all__ = ["render_listening_page"]

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
EXPLANATION = (
    "以下各句的中位数；基频范围为第 10 至第 90 百分位。各频谱图亮度尺度相同，同一句的时间尺度也相同。<br>"
    "Medians over the sentences below; the F0 range lies between percentiles 10 and 90. All spectrograms share one "
    "scale of brightness, those of a sentence also one of time."
)


def render_listening_page(
    voice: str, speaker: str, sample_rate: int, samples: Mapping[str, Sequence[ProsodySample]]
) -> str:
    """Render the page of the same sentences in each emotion.

    Parameters
    ----------
    voice, speaker
        Their names.
    sample_rate
        Of the samples, in Hz.
    samples
        The sentences by emotion, in the same order for each; at least one of both.

    Returns
    -------
    str
        HTML.
    """
    return render_document(f"{voice}: 试听 Listening", _render_parts(voice, speaker, sample_rate, samples))


def _render_parts(
    voice: str, speaker: str, sample_rate: int, samples: Mapping[str, Sequence[ProsodySample]]
) -> Iterator[str]:
    yield f"<header><h1>{escape_text(voice)}: 试听 Listening</h1>"
    yield f'<p class="quiet">说话人 Speaker: {escape_text(speaker)}. 合成语音。The speech is synthetic.</p></header>'
    yield render_section("测量 Measured", _render_metrics(samples), f'<p class="quiet">{EXPLANATION}</p>')
    for number, takes in enumerate(zip(*samples.values(), strict=True), 1):
        yield render_section(f"{number}. {takes[0].text}", _render_sentence(samples, takes, sample_rate))


def _format_name(emotion: str) -> str:
    return f"{CHINESE.get(emotion, '')} {emotion}".strip()


def _render_metrics(samples: Mapping[str, Sequence[ProsodySample]]) -> str:
    rows = []
    for emotion, takes in samples.items():
        median = compute_median([each.prosody for each in takes])
        metrics = (f"{median.f0:.0f}", f"{median.f0_range:.1f}", f"{median.rate:.1f}", f"{median.level:.1f}")
        rows.append((escape_text(_format_name(emotion)), *metrics))
    return render_table(HEAD, rows)


def _render_sentence(
    emotions: Mapping[str, Sequence[ProsodySample]], takes: Sequence[ProsodySample], sample_rate: int
) -> str:
    longest = max(len(each.features.mel) for each in takes)
    parts = []
    for emotion, each in zip(emotions, takes, strict=True):
        mel = np.pad(each.features.mel, ((0, longest - len(each.features.mel)), (0, 0)))
        image = render_picture(draw_mel(mel), f"频谱图 spectrogram, {emotion}")
        audio = render_player(encode_mp3(each.audio, sample_rate))
        parts.append(f"<figure><figcaption>{escape_text(_format_name(emotion))}</figcaption>{image}{audio}</figure>\n")
    return f'<div class="takes">{"".join(parts)}</div>'
