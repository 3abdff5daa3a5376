"""Preparation trims silence, evens out speakers' levels, resamples, and reads traditional characters as simplified."""

import numpy as np
import pytest
import soundfile as sf
from kubevoice.resources.stages import PrepareSpec, Stage
from kubevoice.resources.voicemodel import BaseVoice, Dataset, StorageSpec
from kubevoice.storage import S3Options, connect
from kubevoice_training.features.feature_store import read_features
from kubevoice_training.runtime.progress import ProgressFile
from kubevoice_training.runtime.world import World
from kubevoice_training.stages.context import Context
from kubevoice_training.stages.prepare import prepare


def buzz(*, rate=24_000, seconds=1.0, level=0.1, hertz=150):
    phase = np.arange(int(rate * seconds)) * hertz / rate
    return level * (2.0 * (phase % 1.0) - 1.0)


@pytest.fixture
def prepared(tmp_path):
    """Prepare clips given as (samples, rate, further fields of their row); return the utterances by id."""

    def run(clips):
        lines = ["id,text,emotion,wav_path,speaker"]
        for name, (samples, rate, text, speaker) in clips.items():
            sf.write(tmp_path / f"{name}.wav", samples, rate)
            lines.append(f"{name},{text},neutral,{name}.wav,{speaker}")
        (tmp_path / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
        storage = StorageSpec(artifacts_uri=(tmp_path / "artifacts").as_uri())
        dataset, base = Dataset(uri=tmp_path.as_uri()), BaseVoice(uri="builtin://base")
        spec = PrepareSpec(dataset=dataset, base=base, storage=storage, dev_fraction=0.0, seed=0)
        work = tmp_path / "work"
        work.mkdir()
        context = Context(
            stage=Stage.PREPARE,
            key="key",
            workdir=work,
            artifacts=connect(storage.artifacts_uri),
            options=S3Options(),
            progress=ProgressFile(work / "progress.json", Stage.PREPARE),
            stopping=lambda: False,
            world=World(),
        )
        assert prepare(spec, context).clips == len(clips)
        return {u.id: u for u in read_features(work / "features").utterances}

    return run


def level(utterance):
    return float(np.sqrt(np.mean((utterance.wave / 32768.0) ** 2)))


def test_silence_at_both_ends_is_cut(prepared):
    quiet = np.zeros(24_000)
    clip = prepared({"a": (np.concatenate([quiet, buzz(), quiet]), 24_000, "你好", "mei")})["a"]
    assert len(clip.wave) / 24_000 == pytest.approx(1.06, abs=0.05)
    assert len(clip.features.f0) == pytest.approx(106, abs=5)


def test_speakers_are_evened_out_and_each_keeps_its_own_dynamics(prepared):
    clips = prepared(
        {
            "soft": (buzz(level=0.02), 24_000, "你好", "mei"),
            "loud": (buzz(level=0.04), 24_000, "再见", "mei"),
            "other": (buzz(level=0.8), 24_000, "你好", "wang"),
        }
    )
    assert level(clips["loud"]) / level(clips["soft"]) == pytest.approx(2.0, rel=0.02)
    samples = np.concatenate([clips["soft"].wave, clips["loud"].wave]) / 32768.0
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(level(clips["other"]), rel=0.02)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_other_sample_rates_are_brought_to_the_voices(prepared, rate):
    clip = prepared({"a": (buzz(rate=rate, hertz=200), rate, "你好", "mei")})["a"]
    assert len(clip.wave) == pytest.approx(24_000, abs=24)
    voiced = clip.features.f0[clip.features.f0 > 0]
    assert np.median(voiced) == pytest.approx(200.0, rel=0.01)


def test_traditional_characters_become_the_units_of_simplified_ones(prepared):
    clips = prepared(
        {
            "old": (buzz(), 24_000, "今天天氣真好，我們學習漢語。", "mei"),
            "new": (buzz(), 24_000, "今天天气真好，我们学习汉语。", "mei"),
        }
    )
    np.testing.assert_array_equal(clips["old"].ling, clips["new"].ling)
