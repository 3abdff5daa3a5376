"""Fine-tuning of the vocoder on the recordings, as a task of the training loop.

A voice is released without its discriminators. New ones are first trained alone, because an untrained discriminator
would only make the generator worse.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from kubevoice.audio.mel import MelConfig
from kubevoice.errors import InputError
from kubevoice.resources.training import Recipe
from numpy.typing import NDArray
from torch import Tensor

from kubevoice_training.finetuning.batch_sampler import derive_step_seed
from kubevoice_training.finetuning.loop import LoopConfig, StepLosses
from kubevoice_training.finetuning.reconstruction_losses import ReconstructionLosses
from kubevoice_training.finetuning.tensorboard import TensorBoardWriter
from kubevoice_training.finetuning.vocoder_step import VocoderGan
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.runtime.process_group import ProcessGroup

__all__ = ["VocoderClip", "VocoderFineTuning", "build_vocoder_loop_config"]

SEGMENT, CONTEXT = 32, 8
"""Frames of a segment that are compared, and frames before them that the generator needs but that are not."""
GENERATOR_RATE, DISCRIMINATOR_RATE = 1e-4, 4e-4
"""Learning rates; the generator's falls along a cosine."""
DISCRIMINATORS_ALONE = 0.2
"""Share of the steps in which only the discriminators are trained."""
DEV_SEGMENTS = 16
"""Number of held-out segments of which the mel loss is computed."""


@dataclass(frozen=True, slots=True)
class VocoderClip:
    """One clip as the vocoder learns from it.

    Attributes
    ----------
    mel
        Normalised mel spectrogram [T_mel, n_mels]; a voice with a harmonic source has F0 (Hz) and voicing beside it.
    wave
        Samples (int16) that the mel was computed from.
    """

    mel: NDArray[np.float32]
    wave: NDArray[np.int16]

    def last_start(self, hop: int) -> int:
        """Return the last frame at which a segment may begin.

        Parameters
        ----------
        hop
            Samples of a frame.

        Returns
        -------
        int
            Below 0 if the clip is too short for a segment.
        """
        return min(len(self.mel), len(self.wave) // hop) - SEGMENT - CONTEXT


def cut_segments(cuts: Sequence[tuple[VocoderClip, int]], hop: int) -> tuple[Tensor, Tensor]:
    """Cut one segment from each clip.

    Parameters
    ----------
    cuts
        B clips, each with the frame at which its segment begins.
    hop
        Samples of a frame.

    Returns
    -------
    tuple
        Mels [B, n_mels, CONTEXT + SEGMENT], and waves in -1..1 without the context, [B, 1, SEGMENT * hop].
    """
    mels = np.stack([clip.mel[start : start + CONTEXT + SEGMENT].T for clip, start in cuts])
    begins = [(clip, (start + CONTEXT) * hop) for clip, start in cuts]
    waves = np.stack([clip.wave[begin : begin + SEGMENT * hop] for clip, begin in begins])
    return torch.from_numpy(mels.astype(np.float32)), torch.from_numpy(waves.astype(np.float32) / 32767.0).unsqueeze(1)


def build_vocoder_loop_config(recipe: Recipe) -> LoopConfig:
    """Derive from a recipe how long the vocoder is trained.

    Parameters
    ----------
    recipe
        `spec.training`.

    Returns
    -------
    LoopConfig
        Steps and interval of evaluations; its curves follow those of the acoustic model.
    """
    return LoopConfig(
        recipe.vocoder.max_steps,
        recipe.save_every,
        tags=("vocoder", "vocoder-dev"),
        first_step=recipe.max_steps,
        network="the vocoder",
    )


@dataclass(slots=True)
class VocoderFineTuning:
    """The vocoder's `TrainingTask`: GAN steps on random segments of the clips.

    Attributes
    ----------
    generator
        The vocoder; `train_step` changes its weights, `load_best` sets the result.
    train, dev
        Clips to train on, and held-out clips. Those shorter than a segment are removed when the task is created.
    mel
        Settings of the features.
    recipe
        `spec.training`.
    world
        This process's rank and the world size.
    gan
        Networks and optimizers; each `train_step` changes them.
    losses
        Reconstruction losses.

    Raises
    ------
    InputError
        When it is created without a clip of at least one segment.
    """

    generator: Generator
    train: Sequence[VocoderClip]
    dev: Sequence[VocoderClip]
    mel: MelConfig
    recipe: Recipe
    world: ProcessGroup = field(default_factory=ProcessGroup)
    gan: VocoderGan = field(init=False)
    losses: ReconstructionLosses = field(init=False)

    def __post_init__(self) -> None:
        hop = self.mel.hop_length
        self.train, self.dev = ([c for c in clips if c.last_start(hop) >= 0] for clips in (self.train, self.dev))
        if not self.train:
            raise InputError(
                f"no recording has the {(SEGMENT + CONTEXT) * hop / self.mel.sample_rate:.2f} s that the vocoder "
                "learns from at once; set spec.training.vocoder.mode to Frozen"
            )
        torch.manual_seed(derive_step_seed(self.recipe.seed, -1))  # the discriminators' first weights
        self.gan = VocoderGan.create(self.generator.to(self.world.device), GENERATOR_RATE, DISCRIMINATOR_RATE)
        self.losses = ReconstructionLosses(self.mel).to(self.world.device)

    def train_step(self, step: int) -> StepLosses:
        """Update the discriminators, and the generator once they have been trained alone.

        Parameters
        ----------
        step
            Counted from 0.

        Returns
        -------
        StepLosses
            Losses of the whole batch. The reported one is the mel loss, or the discriminators' while they are trained
            alone.
        """
        torch.manual_seed(derive_step_seed(self.recipe.seed, step, self.world.rank))
        cuts = self._draw_cuts(step)
        shard = self.world.shard(cuts)
        # A process without a segment computes one that has no weight, because the others wait for it.
        share = len(shard) / len(cuts)
        mel, real = self._load_segments(shard or cuts[:1])
        last = self.recipe.vocoder.max_steps
        adversarial = step >= int(DISCRIMINATORS_ALONE * last)
        for group in self.gan.generator_optimizer.param_groups:
            group["lr"] = GENERATOR_RATE * 0.5 * (1.0 + math.cos(math.pi * step / last))
        with torch.set_grad_enabled(adversarial):
            fake = self._generate(self.generator, mel)
        terms = {"discriminators": self.gan.discriminator_step(real, fake, share, self.world.all_reduce_sum)}
        if adversarial:
            terms |= self.gan.generator_step(
                self.losses, real, fake, share, self.world.all_reduce_sum, adversarial=True
            )
        totals = self.world.sum_scalars(terms)
        return StepLosses(totals.get("mel", totals["discriminators"]), totals)

    @torch.no_grad()
    def evaluate(self) -> StepLosses | None:
        """Compute the mel loss of the averaged generator on the middle of held-out clips.

        Returns
        -------
        StepLosses or None
            None if there are no held-out clips.
        """
        if not self.dev:
            return None
        cuts = [(clip, clip.last_start(self.mel.hop_length) // 2) for clip in self.dev[:DEV_SEGMENTS]]
        mel, real = self._load_segments(cuts)
        loss = float(self.losses(self._generate(self.gan.averaged.module, mel), real)["mel"])
        return StepLosses(loss, {"mel": loss})

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes from step to step.

        Returns
        -------
        dict
            State of the GAN by the keys of a checkpoint.
        """
        return self.gan.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of the GAN.

        Parameters
        ----------
        state
            What `state_dict` returned; further keys are ignored.
        """
        self.gan.load_state_dict(state)

    def load_best(self, state: Mapping[str, Any] | None) -> None:
        """Load the averaged weights with the lowest dev loss.

        Parameters
        ----------
        state
            Their state; None if no step was evaluated, in which case the newest average is used.
        """
        if state is not None:
            self.gan.averaged.load_state_dict(state["averaged"])
        self.generator.load_state_dict(self.gan.averaged.module.state_dict())

    def write_previews(self, writer: TensorBoardWriter, step: int, *, evaluated: bool) -> None:
        """Write nothing: of a vocoder, TensorBoard shows the losses only.

        Parameters
        ----------
        writer
            Not used.
        step
            Not used.
        evaluated
            Not used.
        """

    def describe_divergence(self, step: int) -> str:
        """Describe how to train without the vocoder.

        Parameters
        ----------
        step
            The step whose loss is not finite, counted from 1.

        Returns
        -------
        str
            The message of the error.
        """
        return f"a loss of the vocoder's step {step} is not finite; set spec.training.vocoder.mode to Frozen"

    def _draw_cuts(self, step: int) -> list[tuple[VocoderClip, int]]:
        """Draw the segments of a step, longer clips more often: a pure function of seed and step."""
        rng, hop = np.random.default_rng(derive_step_seed(self.recipe.seed, step)), self.mel.hop_length
        starts = np.array([clip.last_start(hop) + 1.0 for clip in self.train])
        chosen = rng.choice(len(self.train), self.recipe.batch_size, p=starts / starts.sum())
        return [(self.train[i], int(rng.integers(0, self.train[i].last_start(hop) + 1))) for i in chosen]

    def _load_segments(self, cuts: Sequence[tuple[VocoderClip, int]]) -> tuple[Tensor, Tensor]:
        mel, wave = cut_segments(cuts, self.mel.hop_length)
        return mel.to(self.world.device), wave.to(self.world.device)

    def _generate(self, network: torch.nn.Module, mel: Tensor) -> Tensor:
        """Generate waves [B, 1, SEGMENT * hop] from mels with context [B, n_mels, CONTEXT + SEGMENT]."""
        return torch.as_tensor(network(mel)[..., CONTEXT * self.mel.hop_length :])
