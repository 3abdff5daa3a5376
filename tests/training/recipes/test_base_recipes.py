"""The recipes of the base voice, as processes, on a corpus of a few words; and what they ask of the network."""

import csv
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from kubevoice.voice import builtin_voice
from kubevoice_training.finetuning.acoustic_step import compute_reconstruction_losses
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.sambert import AcousticBatch
from kubevoice_training.voice_checkpoint import load_weights

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "hsk-words"
START = builtin_voice("builtin://base") / "checkpoint"
WORDS = 8
WIDER = 512
"""Channels, twice those of the vocoder that ships."""


def run_recipe(name, *words):
    path = os.pathsep.join((str(ROOT / "core"), str(ROOT / "training")))
    done = subprocess.run(
        [sys.executable, ROOT / "training" / "recipes" / f"{name}.py", *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    for name in ("hsk", "kokoro", "sentences"):
        (folder / name).mkdir()
    with (EXAMPLE / "metadata.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["emotion"] == "neutral" and len(row["text"]) > 1][:WORDS]
    with (folder / "hsk" / "words.csv").open("w", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerows([("id", "text", "path"), *((r["id"], r["text"], EXAMPLE / r["wav_path"]) for r in rows)])
    (folder / "kokoro" / "metadata.csv").write_text("id,text,speaker,path\n", encoding="utf-8")
    sources = [f"--{name}={folder / name}" for name in ("hsk", "kokoro", "sentences")]
    run_recipe("base_corpus", folder / "corpus", *sources, "--processes", 1)
    run_recipe("base_data", folder / "corpus", "--processes", 1)
    return folder / "corpus"


def load_weights_of(folder, name):
    return torch.load(folder / "packed" / f"{name}.pt", weights_only=True)


def test_both_networks_learn_go_on_and_leave_what_ships(corpus, tmp_path):
    emotions = [clip["emotion"] for clip in json.loads((corpus / "clips.json").read_text(encoding="utf-8"))]
    assert emotions.count("neutral") == WORDS < len(emotions)  # the rest are acted
    for name, options in (
        ("acoustic", ("--predict", "--frames", 600)),
        ("vocoder", ("--batch", 1, "--channels", WIDER)),
    ):
        run_recipe(f"base_{name}", corpus, tmp_path, "--start", START, "--minutes", 0.05, *options)
        first = load_weights_of(tmp_path, name)
        minutes = first["spent"] / 60 + 0.05  # on a busy machine the first step may have taken any time
        run_recipe(f"base_{name}", corpus, tmp_path, "--start", START, "--minutes", minutes, *options)
        second = load_weights_of(tmp_path, name)
        assert 0 < first["step"] < second["step"], name
        assert any(not torch.equal(first["averaged"][key], second["averaged"][key]) for key in first["averaged"]), name
    assert len(second["averaged"]["conv_pre.conv1d.bias"]) == WIDER
    durations, predicted = np.load(corpus / "durations.npy"), np.load(corpus / "predicted.npy")
    assert durations.sum() == len(predicted) == len(np.load(corpus / "decoded" / "mel.npy"))


def test_a_taught_acoustic_model_aligns_as_before(corpus, tmp_path):
    run_recipe("base_acoustic", corpus, tmp_path, "--start", START, "--minutes", 0.05, "--frames", 600)
    before, after = load_weights(START).acoustic.state_dict(), load_weights_of(tmp_path, "acoustic")["averaged"]
    kept = [key for key in before if key.startswith(("align_attention.", "text_encoder.sy_emb."))]
    assert len(kept) > 1
    for key in kept:
        assert torch.equal(after[key], before[key].half()), key


def test_what_is_dropped_can_be_nothing_but_in_pre_nets(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "training" / "recipes")
    model = importlib.import_module("base_acoustic").copy_with_dropout(load_weights(START).acoustic, 0.0).train()
    mel = torch.ones(1, 6, 80)
    assert torch.equal(model.mel_postnet(mel), model.mel_postnet(mel))
    memory, steps = torch.ones(1, 2, model.config.memory_width), torch.tensor([2])
    first, second = (model.mel_decoder.mel_dec(memory, mel[:, ::3], steps, 1) for _ in range(2))
    assert not torch.equal(first, second)


def test_harmonics_are_compared_where_the_mel_has_the_recordings_pitch(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "training" / "recipes")
    run_recipe = importlib.import_module("base_vocoder")
    torch.manual_seed(0)
    real, losses = 0.1 * torch.randn(4, 1, 9600), run_recipe.RecordedPitchLosses(run_recipe.MEL)
    predicted, true = real.clone(), real.clone()
    predicted[1::2], true[::2] = 0.0, 0.0
    assert float(losses(predicted, real)["harmonics"]) == 0.0 < float(losses(predicted, real)["mel"])
    assert float(losses(true, real)["harmonics"]) > 0.0


def test_a_training_step_reads_nothing_back_from_the_device():
    """On a GPU a step is one graph. The device `meta` has no values, so that reading one fails."""
    model, batch, slots, frames = load_weights(START).acoustic.train().to("meta"), 3, 6, 30

    def whole(*shape):
        return torch.zeros(*shape, dtype=torch.int64, device="meta")

    def numbers(*shape):
        return torch.zeros(*shape, device="meta")

    given = AcousticBatch(
        ling=whole(batch, slots, 4),
        emotion=whole(batch, slots),
        speaker=whole(batch, slots),
        text_lengths=whole(batch),
        mel=numbers(batch, frames, 80),
        mel_lengths=whole(batch),
        durations=whole(batch, slots),
        pitch=numbers(batch, slots),
        energy=numbers(batch, slots),
        band_width=whole(()),
    )
    terms = compute_reconstruction_losses(model(given), given)
    torch.stack(terms).sum().backward()
    assert all(each.grad is not None for each in model.mel_decoder.parameters())


def test_half_way_between_two_vocoders_each_convolution_makes_their_mean(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "training" / "recipes")
    run_recipe = importlib.import_module("base_voice")
    before, after = (Generator(GeneratorConfig(channels=16)) for _ in range(2))
    mel = torch.randn(1, 80, 4)
    with torch.no_grad():
        mean = (before.conv_pre(mel) + after.conv_pre(mel)) / 2
        run_recipe.interpolate_vocoders(before, after, 0.5)
        torch.testing.assert_close(after.conv_pre(mel), mean)
