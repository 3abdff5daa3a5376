"""Fine-tuning of the acoustic model, as a task of the training loop.

Any number of processes makes the same steps: each computes its shard of the batch, and gradients and losses are
summed over all processes (see `runtime.process_group`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from kubevoice.errors import InputError
from kubevoice.resources.training import Precision, Recipe
from kubevoice.text import UnitTables
from kubevoice.text.units import STREAMS
from numpy.typing import NDArray

from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.finetuning.acoustic_step import compute_losses
from kubevoice_training.finetuning.batch_sampler import BucketBatchSampler, derive_step_seed
from kubevoice_training.finetuning.collation import NO_SHARE, BatchShare, BatchSize, CollatedBatch, collate
from kubevoice_training.finetuning.loop import LoopConfig, StepLosses
from kubevoice_training.finetuning.lr_schedule import compute_learning_rate
from kubevoice_training.finetuning.parameter_selection import select_trainable
from kubevoice_training.finetuning.previews import draw_clip
from kubevoice_training.finetuning.tensorboard import TensorBoardWriter
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.runtime.process_group import ProcessGroup

__all__ = ["AcousticCorpus", "AcousticFineTuning", "build_acoustic_loop_config"]

Array = NDArray[np.float32]
TERMS = ("total", "mel", "duration", "pitch", "energy", "alignment")
"""Fields of `AcousticLosses`, and TensorBoard's curves."""


def uses_bf16(precision: Precision, device: torch.device) -> bool:
    """Decide whether the network computes in bfloat16; its weights, the alignment and the losses never do.

    Parameters
    ----------
    precision
        As `spec.training.precision` says.
    device
        Where the network computes.

    Returns
    -------
    bool
        With `auto`, True on a GPU that supports it.
    """
    if precision is Precision.AUTO:
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision is Precision.BF16


def build_acoustic_loop_config(recipe: Recipe) -> LoopConfig:
    """Derive from a recipe how long the acoustic model is trained.

    Parameters
    ----------
    recipe
        `spec.training`.

    Returns
    -------
    LoopConfig
        Steps, interval of evaluations and early stopping.
    """
    return LoopConfig(recipe.max_steps, recipe.save_every, recipe.early_stop_patience)


@dataclass(frozen=True, slots=True)
class AcousticCorpus:
    """Clips of a dataset as the acoustic model learns from them.

    Attributes
    ----------
    train
        Clips to train on.
    dev
        Clips held out for the dev loss; may be empty.
    stats
        What all of them are normalised by.
    """

    train: Sequence[TrainingClip]
    dev: Sequence[TrainingClip]
    stats: Stats


@dataclass(slots=True)
class AcousticFineTuning:
    """The acoustic model's `TrainingTask`: AdamW on the selected parameters, in batches of similar lengths.

    Attributes
    ----------
    model
        The acoustic model; `train_step` changes its weights.
    corpus
        Clips and statistics.
    recipe
        `spec.training`.
    world
        This process's rank and the world size.
    synthesize
        Returns waves [samples] by name, for TensorBoard; None for no audio.
    trainable
        The parameters that are updated. Set when the task is created.
    optimizer
        AdamW; `train_step` sets its learning rate and `load_state_dict` its state.
    sampler
        Selects the clips of each step.
    padding_ids
        The end-of-sentence id of each input stream, which pads a batch.

    Raises
    ------
    InputError
        When it is created without a clip to train on, or with a name in `recipe.trainable` that matches no parameter.
    """

    model: Sambert
    corpus: AcousticCorpus
    recipe: Recipe
    world: ProcessGroup = field(default_factory=ProcessGroup)
    synthesize: Callable[[], Mapping[str, Array]] | None = None
    trainable: list[torch.nn.Parameter] = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    sampler: BucketBatchSampler = field(init=False)
    padding_ids: list[int] = field(init=False)

    def __post_init__(self) -> None:
        if not self.corpus.train:
            raise InputError("no clip is left to train on; lower spec.training.devFraction or add recordings")
        self.trainable = select_trainable(self.model.to(self.world.device), self.recipe.trainable)
        self.optimizer = torch.optim.AdamW(self.trainable, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0)
        lengths = [len(clip.mel) for clip in self.corpus.train]
        self.sampler = BucketBatchSampler(lengths, self.recipe.batch_size, self.recipe.seed)
        tables = UnitTables.load()
        self.padding_ids = [tables.eos[stream] for stream in STREAMS]

    def train_step(self, step: int) -> StepLosses:
        """Update the weights with the batch of a step.

        Parameters
        ----------
        step
            Counted from 0.

        Returns
        -------
        StepLosses
            Losses of the whole batch, gradient norm and learning rate.
        """
        self.model.train()
        torch.manual_seed(derive_step_seed(self.recipe.seed, step, self.world.rank))
        rate = compute_learning_rate(step, self.recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        terms = self._compute_gradients([self.corpus.train[i] for i in self.sampler.batch(step)])
        norm = torch.nn.utils.clip_grad_norm_(self.trainable, self.recipe.max_gradient_norm or math.inf)
        self.optimizer.step()
        return StepLosses(terms["total"], terms, {"gradient_norm": float(norm), "learning_rate": rate})

    def _compute_gradients(self, clips: list[TrainingClip]) -> dict[str, float]:
        """Leave the gradients of the whole batch in the parameters; return its losses by name."""
        size, shard = BatchSize.from_clips(clips), self.world.shard(clips)
        # A process without a clip computes one that has no weight, because the others wait for it.
        share = BatchShare.from_clips(shard, size) if shard else NO_SHARE
        batch = self._collate(shard or clips[:1], size)
        losses = compute_losses(
            self.model, batch, self.corpus.stats, share, self.world.all_reduce_max, bf16=self._uses_bf16
        )
        self.optimizer.zero_grad()
        losses.total.backward()
        self.world.all_reduce_sum([parameter.grad for parameter in self.trainable if parameter.grad is not None])
        return self.world.sum_scalars({name: getattr(losses, name).detach() for name in TERMS})

    @torch.no_grad()
    def evaluate(self) -> StepLosses | None:
        """Compute the mean losses over the held-out clips, without dropout.

        Returns
        -------
        StepLosses or None
            None if there are no held-out clips.
        """
        dev, size = self.corpus.dev, self.recipe.batch_size
        if not dev:
            return None
        self.model.eval()
        sums = {name: torch.zeros((), dtype=torch.float64) for name in TERMS}
        for begin in self.world.shard(range(0, len(dev), size)):
            clips = dev[begin : begin + size]
            batch = self._collate(clips, BatchSize.from_clips(clips))
            losses = compute_losses(self.model, batch, self.corpus.stats, bf16=self._uses_bf16)
            for name in TERMS:
                sums[name] += getattr(losses, name).double().cpu() * len(clips) / len(dev)
        means = self.world.sum_scalars(sums)
        return StepLosses(means["total"], means)

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes from step to step.

        Returns
        -------
        dict
            Weights and optimizer state by the keys of a checkpoint.
        """
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the weights and the optimizer's state.

        Parameters
        ----------
        state
            What `state_dict` returned; further keys are ignored.
        """
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def load_best(self, state: Mapping[str, Any] | None) -> None:
        """Load the weights with the lowest dev loss.

        Parameters
        ----------
        state
            Their state; None if no step was evaluated, in which case the last weights stay.
        """
        if state is not None:
            self.model.load_state_dict(state["model"])

    def write_previews(self, writer: TensorBoardWriter, step: int, *, evaluated: bool) -> None:
        """Write audio every `recipe.sample_every` steps, and the images of one clip after each evaluation.

        Parameters
        ----------
        writer
            Where to.
        step
            Steps made.
        evaluated
            Whether this step was evaluated.
        """
        self.model.eval()
        if self.synthesize is not None and step % self.recipe.sample_every == 0:
            writer.write_audio(self.synthesize(), step)
        if evaluated:
            clip = (self.corpus.dev or self.corpus.train)[:1]
            batch = self._collate(clip, BatchSize.from_clips(clip))
            writer.write_images(draw_clip(self.model, batch, self.corpus.stats), step)

    def describe_divergence(self, step: int) -> str:
        """Name the settings that make training diverge.

        Parameters
        ----------
        step
            The step whose loss is not finite, counted from 1.

        Returns
        -------
        str
            The message of the error.
        """
        return (
            f"the loss of step {step} is not finite; lower spec.training.learningRate "
            f"({self.recipe.learning_rate:g}) or spec.training.maxGradientNorm"
        )

    @property
    def _uses_bf16(self) -> bool:
        return uses_bf16(self.recipe.precision, self.world.device)

    def _collate(self, clips: Sequence[TrainingClip], size: BatchSize) -> CollatedBatch:
        return collate(clips, self.padding_ids, self.model.config.outputs_per_step, size).to(self.world.device)
