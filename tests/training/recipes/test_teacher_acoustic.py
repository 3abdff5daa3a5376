"""The new base's acoustic model: durations from the teacher, features in shards, and a training that resumes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

RECIPES = Path(__file__).resolve().parents[3] / "training" / "recipes"


@pytest.fixture(autouse=True)
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES)


def test_units_last_as_long_as_their_phones_do():
    from teacher_features import ADVANCE_SAMPLES, MEL, compute_unit_durations

    steps = [4, 8, 2, 6]  # of 600 samples: an initial, a final of two phones, a pause
    durations = compute_unit_durations([0, 1, 1, 2], steps, 0, -ADVANCE_SAMPLES, [False, False, True], 47)
    assert durations.sum() == 47
    np.testing.assert_allclose(durations * MEL.hop_length, [2400, 6000, 3600], atol=MEL.hop_length)


def test_an_initial_that_is_not_spelled_takes_a_part_of_the_final():
    from teacher_features import ADVANCE_SAMPLES, compute_unit_durations

    durations = compute_unit_durations([1], [16], 0, -ADVANCE_SAMPLES, [False, False], 37)
    assert durations.tolist() == [9, 28]


def test_every_phone_gets_a_frame_and_a_boundary_may_get_none():
    from teacher_features import ADVANCE_SAMPLES, compute_unit_durations

    durations = compute_unit_durations([0, 1, 3], [0, 9, 4], 0, -ADVANCE_SAMPLES, [False, False, True, False], 30)
    assert durations[2] == 0
    assert min(durations[[0, 1, 3]]) >= 1
    assert durations.sum() == 30


def shard(folder, clips):
    from teacher_features import ClipFeatures, write_shard

    rng = np.random.default_rng(0)
    made = []
    for number in range(clips):
        line = {"id": f"t{number + 1:05}", "text": "你好。", "kind": "talk", "emotion": "neutral"}
        line["speaker"] = ("zf_xiaobei", "zm_yunxi")[number % 2]
        features = ClipFeatures(
            ling=rng.integers(0, 5, (4, 4)),
            durations=np.array([10, 12, 0, 14]),
            mel=rng.random((36, 80), np.float32),
            f0=rng.uniform(100, 200, 36).astype(np.float32),
            energy=rng.random(36, np.float32),
            power=90.0 * (number % 2 + 1),
            samples=9000,
        )
        made.append((line, features))
    write_shard(folder, 0, made)
    return made


def test_shards_give_back_what_was_put_into_them(tmp_path):
    from teacher_features import MEL_STEPS, read_shards

    made = shard(tmp_path, 3)
    for (line, features), (row, read) in zip(made, read_shards(tmp_path), strict=True):
        assert row["id"] == line["id"]
        np.testing.assert_array_equal(read.durations, features.durations)
        np.testing.assert_allclose(read.mel, features.mel, atol=0.51 / MEL_STEPS)
        np.testing.assert_allclose(read.f0, features.f0, rtol=1e-3)


def test_speakers_are_made_equally_loud(tmp_path):
    from teacher_acoustic import TARGET_RMS, read_items
    from teacher_features import read_shards

    shard(tmp_path, 2)
    for item, (_, stored) in zip(read_items(tmp_path), read_shards(tmp_path), strict=True):
        gain = TARGET_RMS / (stored.power / stored.samples) ** 0.5
        inside = (stored.mel > 0.2) & (stored.mel < 0.8)
        np.testing.assert_allclose((item.features.mel - stored.mel)[inside], np.log10(gain) / 6.0, atol=1e-6)
        np.testing.assert_allclose(item.features.energy, stored.energy * gain, rtol=1e-5)


def test_a_training_goes_on_where_it_was_stopped(tmp_path):
    shard(tmp_path, 4)
    steps = []
    for minutes in ("0.01", "0.05"):
        done = subprocess.run(
            [sys.executable, RECIPES / "teacher_acoustic.py", tmp_path, tmp_path / "out", "--minutes", minutes],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        steps.append(torch.load(tmp_path / "out" / "packed" / "acoustic.pt", weights_only=True)["step"])
    assert 0 < steps[0] < steps[1]
    assert json.loads((tmp_path / "out" / "labels.json").read_text(encoding="utf-8"))["config"]["decoder_layers"] == 12
