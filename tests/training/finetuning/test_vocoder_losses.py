"""The vocoder's losses by hand-computed values, and the reference's mistake on request."""

import pytest
import torch
from kubevoice.audio.mel import MelConfig
from kubevoice_training.finetuning.reconstruction_losses import ReconstructionLosses
from kubevoice_training.finetuning.vocoder_losses import feature_matching_loss
from kubevoice_training.models.discriminators import Discriminators
from torch.nn import functional as F


def maps(*discriminators):
    return [[torch.tensor(values) for values in activations] for activations in discriminators]


REAL = maps([[1.0, 2.0], [5.0], [9.0]], [[3.0], [0.0]])
FAKE = maps([[0.0, 4.0], [4.0], [0.0]], [[1.0], [7.0]])


@pytest.mark.parametrize("as_reference", [False, True])
def test_feature_matching_sums_the_mean_differences_of_all_maps_but_the_scores(as_reference):
    loss = feature_matching_loss(REAL, FAKE, as_reference=as_reference)
    assert float(loss) == pytest.approx((1.0 + 2.0) / 2 + 1.0 + 2.0)


def test_feature_matching_teaches_the_generator_unless_the_reference_is_repeated():
    torch.manual_seed(0)
    discriminators = Discriminators(width=0.05, periods=(2,), scales=1)
    wave = torch.randn(1, 1, 400, requires_grad=True)
    real = discriminators(torch.randn(1, 1, 400))
    (taught,) = torch.autograd.grad(feature_matching_loss(real, discriminators(wave)), wave)
    assert float(taught.abs().sum()) > 0
    assert not feature_matching_loss(real, discriminators(wave), as_reference=True).requires_grad


def voice(phase):
    """Half a second of eleven harmonics of 220 Hz, [1, 1, samples]; `phase` is the fundamental's, in radians."""
    turns = 2 * torch.pi * 220 * torch.arange(12000) / 24000 + phase
    return 0.1 * torch.stack([torch.sin(k * turns) / k for k in range(1, 12)]).sum(0)[None, None]


def test_a_voice_that_wavers_is_recognized_by_its_harmonics_and_one_that_only_begins_elsewhere_is_none():
    torch.manual_seed(0)
    steady, wavering = voice(0.0), voice(F.interpolate(0.3 * torch.randn(1, 1, 50), size=12000, mode="linear")[0, 0])
    losses = ReconstructionLosses(MelConfig())
    hoarse, shifted = losses(wavering, steady), losses(voice(0.5), steady)
    assert float(hoarse["harmonics"]) > 3 * float(hoarse["mel"])
    assert float(hoarse["harmonics"]) > 10 * float(shifted["harmonics"])
