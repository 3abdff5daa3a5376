"""Recordings aligned by synthesis for a voice without an aligner, and what a harmonic source learns of them."""

import numpy as np
import pytest
import torch
from kubevoice.errors import InputError
from kubevoice.storage import connect
from kubevoice_training.features.excitation import compute_excitation, normalize_excitation
from kubevoice_training.finetuning.acoustic_step import build_targets
from kubevoice_training.finetuning.collation import collate
from kubevoice_training.finetuning.synthesis_alignment import add_durations, transfer_durations
from kubevoice_training.models.config import SourceConfig
from kubevoice_training.models.nsf import denormalize_f0
from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.runtime.process_group import ProcessGroup
from tiny_training import CONFIG, make_corpus, make_network


@pytest.fixture
def clips():
    return make_corpus().train


@pytest.fixture
def voice():
    model = make_network()
    model.variance_adaptor.duration_predictor.fc.bias.data.fill_(1.5)  # about three frames a symbol
    return model


def run(clips, model, folder, world=None, *, stopping=False):
    return add_durations(clips, model, connect(str(folder)), "durations.npy", world or ProcessGroup(), lambda: stopping)


@pytest.mark.parametrize("seed", range(5))
def test_durations_follow_a_slower_reading_in_another_timbre(seed):
    rng = np.random.default_rng(seed)
    sounds = rng.standard_normal((6, 20)) * 3
    synthesized_durations, recorded_durations = rng.integers(2, 9, 6), rng.integers(4, 20, 6)
    synthesized_durations[2] = 0  # says nothing of this one
    recorded_durations[2] = 0
    noise, timbre = rng.standard_normal((recorded_durations.sum(), 20)) * 0.3, rng.standard_normal(20) * 2
    durations = transfer_durations(
        np.repeat(sounds, synthesized_durations, axis=0),
        synthesized_durations,
        np.repeat(sounds, recorded_durations, axis=0) + noise + timbre,
    )
    assert durations.sum() == recorded_durations.sum()
    assert durations[2] == 0
    assert np.abs(durations.cumsum() - recorded_durations.cumsum()).max() <= 1


def test_every_frame_goes_to_a_symbol(clips, voice, tmp_path):
    for clip in run(clips, voice, tmp_path):
        assert clip.durations.sum() == len(clip.mel)
        assert len(clip.durations) == len(clip.ling)


def test_training_uses_the_durations_as_they_are(clips, voice, tmp_path):
    timed_clips = run(clips, voice, tmp_path)
    batch, loss = build_targets(voice, collate(timed_clips, [0] * 4, CONFIG.outputs_per_step), make_corpus().stats)
    for clip, durations in zip(timed_clips, batch.durations, strict=True):
        n = len(clip.ling)
        assert durations[:n].tolist() == clip.durations.tolist()
        assert durations[n] == batch.mel.shape[1] - len(clip.mel)  # the padding
        assert not durations[n + 1 :].any()
    assert loss == 0


def test_a_run_that_goes_on_learns_from_the_same_durations(clips, voice, tmp_path):
    first = run(clips, voice, tmp_path)
    again = run(clips, None, tmp_path)  # nobody speaks any more
    assert all(np.array_equal(a.durations, b.durations) for a, b in zip(first, again, strict=True))


class Apart(ProcessGroup):
    """A process group whose ranks do not communicate."""

    def all_reduce_sum(self, _):
        pass

    def broadcast(self, compute):
        return compute()


def test_each_process_aligns_its_shard(clips, voice, tmp_path):
    whole = run(clips, voice, tmp_path / "whole")
    parts = [run(clips, voice, tmp_path / str(rank), Apart(rank, 3)) for rank in range(3)]
    for clip, *aligned_clips in zip(whole, *parts, strict=True):
        assert np.array_equal(clip.durations, sum(part.durations for part in aligned_clips))
        assert sum(part.durations.any() for part in aligned_clips) == 1


def test_alignment_can_be_stopped_and_leaves_nothing(clips, voice, tmp_path):
    with pytest.raises(Interrupted):
        run(clips, voice, tmp_path, stopping=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_voice_that_says_nothing_cannot_align(clips, voice, tmp_path):
    voice.variance_adaptor.duration_predictor.fc.bias.data.fill_(-9.0)
    with pytest.raises(InputError, match="name another base"):
        run(clips, voice, tmp_path)


def test_pitch_is_bridged_where_there_is_no_voice():
    f0 = np.array([0, 100, 0, 400, 0, 0], np.float32)
    np.testing.assert_allclose(compute_excitation(f0)[:, 0], [100, 100, 200, 400, 400, 400], rtol=1e-5)
    assert compute_excitation(f0)[:, 1].tolist() == [0, 1, 0, 1, 0, 0]
    assert compute_excitation(np.zeros(3, np.float32)).tolist() == [[pytest.approx(30.0), 0.0]] * 3


def test_what_a_source_learns_it_speaks():
    source, columns = (
        SourceConfig(f0_offset=200.0, f0_scale=50.0),
        compute_excitation(np.array([90, 0, 310], np.float32)),
    )
    mel = np.concatenate([np.zeros((3, 4), np.float32), normalize_excitation(columns, source)], axis=1)
    np.testing.assert_allclose(denormalize_f0(torch.from_numpy(mel), source)[:, -2:], columns, rtol=1e-5)
