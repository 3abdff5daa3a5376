"""Teaching HiFi-GAN: what the generator learns from, and one step of it and of its discriminators.

Kong, Kim & Bae, "HiFi-GAN" (arXiv 2010.05646) §2.4, with spectral losses beside the mel's: they teach far more a
step while the discriminators are young.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from kubevoice.audio.mel import MelConfig
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from typing_extensions import override

from kubevoice_training.finetuning.vocoder_losses import (
    MelLoss,
    SpectralLoss,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)
from kubevoice_training.models.discriminators import Discriminators
from kubevoice_training.models.hifigan import Generator

__all__ = ["Adversaries", "Reconstruction"]

WEIGHTS = {"mel": 45.0, "short_mel": 15.0, "stft": 10.0, "harmonics": 45.0, "adv": 1.0, "maps": 2.0}
"""What each loss counts; the mel's is the paper's (equation 5), for words are understood by their mel."""
HARMONICS_BELOW = 2000.0
"""Hz: what is heard of a voice's harmonics one by one."""
AVERAGING = 0.998
"""Decay of the weights' moving average, which is what ships."""
JUDGES_WIDTH = 0.125
"""Period discriminators alone judge: those of the scales take three quarters of the judges' time."""
LONGEST_GRADIENT = 20.0
BETAS = (0.8, 0.99)

Together = Callable[[Sequence[Tensor]], None]


def alone(_tensors: Sequence[Tensor]) -> None:
    """Add up gradients over one process: nothing is to be done."""


class Reconstruction(nn.Module):
    """How far a wave [B, 1, T] is from the recording, by name: mels of long and of short frames, spectra, harmonics."""

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        top = min(12_000.0, config.sample_rate / 2)
        long = MelConfig(
            sample_rate=config.sample_rate,
            n_fft=config.n_fft,
            win_length=config.win_length,
            hop_length=config.hop_length,
            n_mels=config.n_mels,
            fmin=0.0,
            fmax=top,
        )
        # Consonants are over within 20 ms.
        short = replace(long, n_fft=512, win_length=400, hop_length=120, n_mels=64)
        # A voice whose harmonics waver is hoarse; frames of 85 ms, in narrow bands, tell.
        narrow = replace(long, n_fft=2048, win_length=2048, hop_length=300, fmax=HARMONICS_BELOW)
        self.long, self.short, self.narrow = MelLoss(long), MelLoss(short), MelLoss(narrow)
        self.spectral = SpectralLoss(((512, 80, 320), (1024, 180, 800), (256, 40, 160)))

    @override
    def forward(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        return {
            "mel": self.long(fake, real),
            "short_mel": self.short(fake, real),
            "stft": self.spectral(fake, real),
            "harmonics": self.harmonics(fake, real),
        }

    def harmonics(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return how far the harmonics are; a training that hears mels of another pitch compares fewer."""
        return torch.as_tensor(self.narrow(fake, real))


class Averaging(Protocol):
    """A moving average of a network's weights, such as torch's AveragedModel."""

    @property
    def module(self) -> nn.Module:
        """The network with the averaged weights."""

    def update_parameters(self, model: Generator) -> None:
        """Go a step towards the network."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Go on from what `state_dict` returned."""


@dataclass(slots=True)
class Adversaries:
    """A generator, its discriminators, their optimisers, and the average of the generator's weights."""

    generator: Generator
    judges: Discriminators
    averaged: Averaging
    g_opt: torch.optim.Optimizer
    d_opt: torch.optim.Optimizer

    @classmethod
    def of(cls, generator: Generator, rate: float, judges_rate: float) -> "Adversaries":
        """Put new discriminators, which know nothing yet, against a generator; all on its device."""
        judges = Discriminators(width=JUDGES_WIDTH, scales=0).to(next(generator.parameters()).device)
        return cls(
            generator,
            judges,
            AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING)),
            torch.optim.AdamW(generator.parameters(), lr=rate, betas=BETAS, weight_decay=0.0),
            torch.optim.AdamW(judges.parameters(), lr=judges_rate, betas=BETAS, weight_decay=0.0),
        )

    def state(self) -> dict[str, object]:
        """Return everything that changes from step to step."""
        parts = ("generator", "judges", "averaged", "g_opt", "d_opt")
        return {name: getattr(self, name).state_dict() for name in parts}

    def restore(self, state: dict[str, dict[str, object]]) -> None:
        """Go on from what `state` returned."""
        for name in ("generator", "judges", "averaged", "g_opt", "d_opt"):
            getattr(self, name).load_state_dict(state[name])

    def teach_judges(self, real: Tensor, fake: Tensor, share: float = 1.0, add: Together = alone) -> Tensor:
        """Make one step of the discriminators on waves [B, 1, T]; return their loss.

        `share` is this process's part of the step's waves, `add` adds gradients up over all processes.
        """
        self.d_opt.zero_grad()
        loss = share * discriminator_loss(self.judges(real), self.judges(fake.detach()))
        loss.backward()
        add([p.grad for p in self.judges.parameters() if p.grad is not None])
        self.d_opt.step()
        return loss.detach()

    def teach_generator(  # two waves, what to learn from, and whose part it is
        self,
        losses: Reconstruction,
        real: Tensor,
        fake: Tensor,
        share: float = 1.0,
        add: Together = alone,
        *,
        judged: bool,
    ) -> dict[str, Tensor]:
        """Make one step of the generator, which made `fake`; return its losses by name."""
        terms = losses(fake, real)
        if judged:
            self.judges.requires_grad_(requires_grad=False)
            fake_maps = self.judges(fake)
            with torch.no_grad():
                real_maps = self.judges(real)
            terms |= {"adv": adversarial_loss(fake_maps), "maps": feature_matching_loss(real_maps, fake_maps)}
            self.judges.requires_grad_(requires_grad=True)
        self.g_opt.zero_grad()
        (share * torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()).backward()
        add([p.grad for p in self.generator.parameters() if p.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), LONGEST_GRADIENT)
        self.g_opt.step()
        self.averaged.update_parameters(self.generator)
        return {name: share * value.detach() for name, value in terms.items()}
