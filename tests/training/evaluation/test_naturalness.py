"""Naturalness of recordings with known ratings, and of a voice beside its base."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from kubevoice.audio.mel import MelConfig
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.errors import KubeVoiceError
from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import BaseVoice
from kubevoice.storage import S3Options, connect
from kubevoice.voice import builtin_voice
from kubevoice_training.evaluation import naturalness
from kubevoice_training.evaluation.naturalness import is_naturalness_model_installed, rate_naturalness
from kubevoice_training.evaluation.voice_metrics import analyze_clip, select_rated_clips
from kubevoice_training.features.feature_store import Utterance
from kubevoice_training.runtime.progress import ProgressFile
from kubevoice_training.runtime.world import World
from kubevoice_training.stages.base_comparison import measure_naturalness_loss
from kubevoice_training.stages.context import Context

WORDS = Path(__file__).resolve().parents[3] / "examples" / "hsk-words" / "wavs"
RATE = 24_000
TEXT = "今天天气不错，我们出去走走吧。"

pytestmark = pytest.mark.skipif(not is_naturalness_model_installed(), reason="needs the evaluation extra")


@pytest.fixture(scope="module")
def words():
    return [soundfile.read(path, dtype="float32")[0] for path in sorted(WORDS.glob("hsk_0????.flac"))[:6]]


def test_the_rating_is_that_of_the_authors_code_and_noise_lowers_it(words):
    # 4.1339 is what ConvTransformerSQAModel of distillmos 0.9.1 gives for the six words, 0.1 s apart.
    assert rate_naturalness(words, RATE) == pytest.approx(4.134, abs=0.01)
    noise = np.random.default_rng(0)
    noisy = [word + 0.02 * noise.standard_normal(len(word)).astype(np.float32) for word in words]
    assert rate_naturalness(noisy, RATE) < 3.5


def test_short_clips_share_a_window_and_a_long_one_is_heard_to_its_end():
    size = naturalness.WINDOW_SAMPLES
    short = [np.full(size // 4, i, np.float32) for i in range(1, 8)]
    windows = list(naturalness._iter_windows(short))
    assert [sorted(set(window) - {0.0}) for window in windows] == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0]]
    ramp = np.arange(1, 2 * size, dtype=np.float32)
    first, last = naturalness._iter_windows([ramp])
    assert (first[0], last[-1]) == (1.0, 2 * size - 1)
    assert first[-1] >= last[0] - 1


def test_damaged_weights_are_named(tmp_path, monkeypatch):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"no weights")
    monkeypatch.setattr(naturalness, "find_model_file", lambda *_: path)
    with pytest.raises(KubeVoiceError, match=r"weights\.pt is damaged or of another version"):
        naturalness._load_network.__wrapped__()


def test_one_minute_of_the_users_sentences_are_rated_and_no_more(words):
    clip = analyze_clip("一", words[0], MelConfig())
    sentences = [replace(clip, text=text, seconds=25.0) for text in ("甲", "乙", "丙")]
    compared = replace(clip, utterance=Utterance("a", "一", "neutral", "mei", True, None, clip.features, words[0]))
    assert select_rated_clips([compared, *sentences]) == sentences[:2]
    assert select_rated_clips([compared]) == [compared]


def test_the_loss_is_what_the_base_voice_has_more(tmp_path):
    engine = Engine.load(builtin_voice("builtin://base"))
    speaker = engine.manifest.speakers[0]
    audio = synthesize_text(engine, TEXT, Controls(speaker=speaker))
    context = Context(
        stage=Stage.RELEASE,
        key="0",
        workdir=tmp_path,
        artifacts=connect(tmp_path.as_uri(), S3Options()),
        options=S3Options(),
        progress=ProgressFile(tmp_path / "progress.json", Stage.RELEASE),
        stopping=lambda: False,
        world=World(),
    )
    base = BaseVoice(uri="builtin://base")
    own = rate_naturalness([audio], RATE)
    clips = [analyze_clip(TEXT, audio, MelConfig())]
    metrics, missing = measure_naturalness_loss(engine, clips, own, base, context)
    assert missing == {}
    assert metrics["naturalnessLoss"] == pytest.approx(0.0, abs=1e-3)
    assert measure_naturalness_loss(engine, clips, own - 0.5, base, context)[0]["naturalnessLoss"] > 0.49
    unreadable = [analyze_clip("……", audio, MelConfig())]
    metrics, missing = measure_naturalness_loss(engine, unreadable, own, base, context)
    assert metrics == {}
    assert "the base voice cannot synthesize the same texts" in missing["naturalnessLoss"]
