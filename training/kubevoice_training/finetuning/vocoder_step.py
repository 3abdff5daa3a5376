"""One training step of HiFi-GAN: the updates of both networks.

Kong, Kim & Bae, "HiFi-GAN" (arXiv 2010.05646), section 2.4. Spectral losses are added to the paper's mel loss: while
the discriminators are young, the generator learns far more from them in a step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kubevoice_training.finetuning.reconstruction_losses import ReconstructionLosses
from kubevoice_training.finetuning.vocoder_losses import (
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)
from kubevoice_training.models.discriminators import Discriminators
from kubevoice_training.models.hifigan import Generator

__all__ = ["VocoderGan"]

LOSS_WEIGHTS = {"mel": 45.0, "short_mel": 15.0, "stft": 10.0, "harmonics": 45.0, "adv": 1.0, "maps": 2.0}
"""Weight of each loss; the mel's is the paper's (equation 5), because words are understood by their mel."""
EMA_DECAY = 0.998
"""Decay of the moving average of the generator's weights, which is what ships."""
DISCRIMINATOR_WIDTH = 0.125
"""Width of the period discriminators. There are no scale discriminators: they take three quarters of the time."""
MAX_GRADIENT_NORM = 20.0
BETAS = (0.8, 0.99)
CHECKPOINT_KEYS = {
    "generator": "generator",
    "judges": "discriminators",
    "averaged": "averaged",
    "g_opt": "generator_optimizer",
    "d_opt": "discriminator_optimizer",
}
"""Keys of a checkpoint, which earlier releases wrote under the same names, and the fields they hold."""

AllReduceSum = Callable[[Sequence[Tensor]], None]


def skip_all_reduce(_tensors: Sequence[Tensor]) -> None:
    """Leave gradients as they are: the sum over a single process.

    Parameters
    ----------
    _tensors
        Gradients.
    """


class WeightAverage(Protocol):
    """A moving average of a network's weights, such as torch's AveragedModel."""

    @property
    def module(self) -> nn.Module:
        """The network with the averaged weights."""

    def update_parameters(self, model: Generator) -> None:
        """Move the average towards the network's weights.

        Parameters
        ----------
        model
            The network.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights.

        Returns
        -------
        dict
            What `load_state_dict` takes.
        """

    def load_state_dict(self, state_dict: Any) -> Any:
        """Load what `state_dict` returned.

        Parameters
        ----------
        state_dict
            The averaged weights.

        Returns
        -------
        Any
            Not used.
        """


@dataclass(slots=True)
class VocoderGan:
    """The GAN's networks, their optimizers, and the average of the generator's weights. Each step updates all of them.

    Attributes
    ----------
    generator, discriminators
        The networks.
    averaged
        Moving average of the generator's weights; `generator_step` updates it.
    generator_optimizer, discriminator_optimizer
        AdamW; the caller sets the learning rates.
    """

    generator: Generator
    discriminators: Discriminators
    averaged: WeightAverage
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer

    @classmethod
    def create(cls, generator: Generator, rate: float, discriminator_rate: float) -> "VocoderGan":
        """Add new, untrained discriminators and optimizers to a generator, on its device.

        Parameters
        ----------
        generator
            The network to train.
        rate, discriminator_rate
            Learning rates of the generator and of the discriminators.

        Returns
        -------
        VocoderGan
            The GAN.
        """
        discriminators = Discriminators(width=DISCRIMINATOR_WIDTH, scales=0).to(next(generator.parameters()).device)
        return cls(
            generator,
            discriminators,
            AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY)),
            torch.optim.AdamW(generator.parameters(), lr=rate, betas=BETAS, weight_decay=0.0),
            torch.optim.AdamW(discriminators.parameters(), lr=discriminator_rate, betas=BETAS, weight_decay=0.0),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes from step to step.

        Returns
        -------
        dict
            States by the keys of a checkpoint.
        """
        return {key: getattr(self, name).state_dict() for key, name in CHECKPOINT_KEYS.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load what `state_dict` returned.

        Parameters
        ----------
        state
            The state; further keys are ignored.
        """
        for key, name in CHECKPOINT_KEYS.items():
            getattr(self, name).load_state_dict(state[key])

    def discriminator_step(
        self, real: Tensor, fake: Tensor, share: float = 1.0, all_reduce_sum: AllReduceSum = skip_all_reduce
    ) -> Tensor:
        """Update the discriminators once.

        Parameters
        ----------
        real, fake
            Recorded and generated waves, shape [B, 1, samples].
        share
            Share of the step's waves that this process has.
        all_reduce_sum
            Sums gradients over all processes, in place.

        Returns
        -------
        Tensor
            This process's share of the loss, a scalar.
        """
        self.discriminator_optimizer.zero_grad()
        loss = share * discriminator_loss(self.discriminators(real), self.discriminators(fake.detach()))
        loss.backward()
        all_reduce_sum([p.grad for p in self.discriminators.parameters() if p.grad is not None])
        self.discriminator_optimizer.step()
        return loss.detach()

    def generator_step(
        self,
        losses: ReconstructionLosses,
        real: Tensor,
        fake: Tensor,
        share: float = 1.0,
        all_reduce_sum: AllReduceSum = skip_all_reduce,
        *,
        adversarial: bool,
    ) -> dict[str, Tensor]:
        """Update the generator once, and the average of its weights.

        Parameters
        ----------
        losses
            The reconstruction losses.
        real, fake
            Recorded waves and those that the generator made with gradients, shape [B, 1, samples].
        share
            Share of the step's waves that this process has.
        all_reduce_sum
            Sums gradients over all processes, in place.
        adversarial
            Whether the discriminators' losses are added.

        Returns
        -------
        dict
            This process's share of each loss, scalars by name, not weighted.
        """
        terms = losses(fake, real)
        if adversarial:
            self.discriminators.requires_grad_(requires_grad=False)
            fake_maps = self.discriminators(fake)
            with torch.no_grad():
                real_maps = self.discriminators(real)
            terms |= {"adv": adversarial_loss(fake_maps), "maps": feature_matching_loss(real_maps, fake_maps)}
            self.discriminators.requires_grad_(requires_grad=True)
        self.generator_optimizer.zero_grad()
        (share * torch.stack([LOSS_WEIGHTS[name] * value for name, value in terms.items()]).sum()).backward()
        all_reduce_sum([p.grad for p in self.generator.parameters() if p.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), MAX_GRADIENT_NORM)
        self.generator_optimizer.step()
        self.averaged.update_parameters(self.generator)
        return {name: share * value.detach() for name, value in terms.items()}
