"""Features come back from disk as they were written, shard by shard."""

import numpy as np
import pytest
from kubevoice.audio.mel import MelConfig
from kubevoice_training.features import feature_store
from kubevoice_training.features.acoustic_features import Features
from kubevoice_training.features.feature_store import Utterance, read_features, write_features


def utterances(count):
    rng = np.random.default_rng(2)
    for i in range(count):
        frames, symbols = int(rng.integers(3, 9)), int(rng.integers(1, 5))
        features = Features(
            rng.random((frames, 80), np.float32), rng.random(frames, np.float32), rng.random(frames, np.float32)
        )
        ling = rng.integers(0, 140, (symbols, 4))
        wave = rng.integers(-32768, 32768, frames * 240 - i, dtype=np.int16)
        emotion = "happy" if i % 2 == 0 else "neutral"
        yield Utterance(f"c{i}", f"第{i}句", emotion, f"speaker{i % 3}", i % 4 == 0, ling, features, wave)


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_every_utterance_comes_back(tmp_path, monkeypatch, count):
    monkeypatch.setattr(feature_store, "SHARD", 3)
    mel = MelConfig(sample_rate=16_000, hop_length=200)
    write_features(tmp_path, mel, utterances(count), ["Somebody, CC BY"])
    features = read_features(tmp_path)
    assert (features.mel, features.attribution, len(features.utterances)) == (mel, ("Somebody, CC BY",), count)
    assert len(list(tmp_path.glob("shard-*.npz"))) == -(-count // 3)
    for old, new in zip(utterances(count), features.utterances, strict=True):
        for name in ("id", "text", "emotion", "speaker", "dev"):
            assert getattr(new, name) == getattr(old, name)
        assert np.array_equal(new.ling, old.ling)
        assert np.array_equal(new.wave, old.wave)
        assert np.array_equal(new.features.f0, old.features.f0)
        assert np.array_equal(new.features.energy, old.features.energy)
        assert np.abs(new.features.mel - old.features.mel).max() < 5e-4  # half precision


def test_neutral_comes_first_and_speakers_as_they_appear(tmp_path):
    write_features(tmp_path, MelConfig(), utterances(4))
    features = read_features(tmp_path)
    assert features.emotions == ["neutral", "happy"]
    assert features.speakers == ["speaker0", "speaker1", "speaker2"]


def test_features_from_before_waves_were_kept_are_read(tmp_path):
    write_features(tmp_path, MelConfig(), utterances(2))
    path = tmp_path / "shard-00000.npz"
    with np.load(path) as stored:
        kept = {name: stored[name] for name in stored.files if name not in ("wave", "samples")}
    np.savez(path, **kept)
    assert [len(u.wave) for u in read_features(tmp_path).utterances] == [0, 0]
