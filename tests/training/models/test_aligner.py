"""Alignment: the monotonic search against trying every path, and the targets it leads to."""

import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kubevoice_training.finetuning.acoustic_step import average_per_symbol
from kubevoice_training.models.aligner import beta_binomial_prior, forward_sum_loss, monotonic_alignment_search


def paths(symbols, frames):
    """All ways to give each symbol at least one of the frames, in order."""
    for cuts in itertools.combinations(range(1, frames), symbols - 1):
        yield np.diff([0, *cuts, frames])


def log_score(soft, durations):
    where = np.repeat(np.arange(len(durations)), durations)
    return np.log(soft[np.arange(len(where)), where]).sum()


sizes = st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(n, 8)))


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 2**32 - 1))
def test_the_monotonic_alignment_is_the_best_there_is(size, seed):
    symbols, frames = size
    soft = np.random.default_rng(seed).dirichlet(np.ones(symbols), frames).astype(np.float32).clip(1e-6)
    padded = np.zeros((1, frames + 2, symbols + 1), np.float32)
    padded[0, :frames, :symbols] = soft
    text_lengths, mel_lengths = torch.tensor([symbols]), torch.tensor([frames])
    durations = monotonic_alignment_search(torch.from_numpy(padded), text_lengths, mel_lengths)[0].numpy()
    assert durations[symbols] == 0
    assert durations.sum() == frames
    assert durations[:symbols].min() >= 1
    best = max(log_score(soft, path) for path in paths(symbols, frames))
    np.testing.assert_allclose(log_score(soft, durations[:symbols]), best, rtol=1e-4, atol=1e-4)


def test_the_forward_sum_prefers_frames_that_agree_with_the_text():
    diagonal = torch.full((1, 6, 3), -5.0)
    for frame in range(6):
        diagonal[0, frame, frame // 2] = 0.0
    symbols, frames = torch.tensor([3]), torch.tensor([6])
    assert forward_sum_loss(diagonal, symbols, frames) < forward_sum_loss(diagonal.flip(2), symbols, frames)


def test_the_prior_is_a_distribution_along_the_diagonal():
    prior = beta_binomial_prior(7, 20)
    np.testing.assert_allclose(prior.sum(axis=1), 1.0, rtol=1e-5)
    assert (np.diff(prior.argmax(axis=1)) >= 0).all()
    assert (prior[0].argmax(), prior[-1].argmax()) == (0, 6)


def test_means_per_symbol_leave_out_unvoiced_frames():
    f0 = torch.tensor([[100.0, 0.0, 200.0, 0.0, 0.0, 300.0]])
    assert average_per_symbol(f0, torch.tensor([[3, 2, 1]])).tolist() == [[150.0, 0.0, 300.0]]
