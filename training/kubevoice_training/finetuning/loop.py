"""The training loop of both fine-tunings: step, evaluate, save, stop, resume.

A `TrainingTask` knows one network: how to make a step, how to evaluate, what its state is. The loop knows the rest.
Its steps are the same for any number of processes, and a run that is resumed makes the steps that it would have made
without the interruption: what is random in a step depends on the seed and the step alone (see `batch_sampler`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kubevoice.errors import KubeVoiceError

from kubevoice_training.finetuning.tensorboard import TensorBoardWriter
from kubevoice_training.runtime.checkpoint_store import CheckpointStore
from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.runtime.process_group import ProcessGroup

__all__ = ["LoopConfig", "StepLosses", "TrainingLoop", "TrainingTask"]

COUNTERS = ("step", "best_loss", "best_step", "dev_loss", "last_loss", "stale")
"""The loop's own part of a checkpoint: its fields of these names, as plain numbers."""


@dataclass(frozen=True, slots=True)
class StepLosses:
    """Losses of one training step or of one evaluation, summed over all processes.

    Attributes
    ----------
    loss
        The loss that is reported; of an evaluation, the one that decides which step is best.
    terms
        All losses by name. Training ends when one of them is not finite.
    diagnostics
        Further scalars for TensorBoard, such as the gradient norm.
    """

    loss: float
    terms: Mapping[str, float]
    diagnostics: Mapping[str, float] = field(default_factory=dict)


class TrainingTask(Protocol):
    """What the loop needs of a network's fine-tuning."""

    def train_step(self, step: int) -> StepLosses:
        """Update the weights once. All processes call it together.

        Parameters
        ----------
        step
            Counted from 0.

        Returns
        -------
        StepLosses
            Losses of the step, equal in all processes.
        """

    def evaluate(self) -> StepLosses | None:
        """Compute the losses on held-out clips. All processes call it together.

        Returns
        -------
        StepLosses or None
            None if there are no such clips.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return weights and optimizers: all that changes from step to step.

        Returns
        -------
        dict
            What `torch.load(weights_only=True)` can read, by the keys of a checkpoint.
        """

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load what `state_dict` returned.

        Parameters
        ----------
        state
            The state; further keys are ignored.
        """

    def load_best(self, state: Mapping[str, Any] | None) -> None:
        """Load the weights that are the result of the run into the network.

        Parameters
        ----------
        state
            State of the best step; None if no step was evaluated.
        """

    def write_previews(self, writer: TensorBoardWriter, step: int, *, evaluated: bool) -> None:
        """Write predictions of the network to TensorBoard; only the main process calls it.

        Parameters
        ----------
        writer
            Where to.
        step
            Steps made.
        evaluated
            Whether this step was evaluated.
        """

    def describe_divergence(self, step: int) -> str:
        """Describe a loss that is not finite, and what to change.

        Parameters
        ----------
        step
            The step, counted from 1.

        Returns
        -------
        str
            The message of the error.
        """


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How long a run lasts and how it reports.

    Attributes
    ----------
    max_steps
        Number of steps.
    save_every
        Steps between two evaluations, each with a checkpoint. The last step has them, too.
    early_stop_patience
        Number of evaluations without a better dev loss after which the run ends; None for no early stopping.
    tags
        TensorBoard's groups of curves: of the training steps and of the evaluations.
    first_step
        Where the run's curves begin on TensorBoard's axis of steps.
    network
        What is trained, for messages.
    """

    max_steps: int
    save_every: int
    early_stop_patience: int | None = None
    tags: tuple[str, str] = ("train", "dev")
    first_step: int = 0
    network: str = "the acoustic model"


@dataclass(slots=True)
class TrainingLoop:
    """One run. Create it, call `resume`, then `train`.

    Every process of the run has one, and all of them call the same methods. Only the main process reads and writes
    checkpoints and has a `writer`.
    """

    task: TrainingTask
    config: LoopConfig
    store: CheckpointStore
    on_step: Callable[[int, float, float | None], None]
    """Called after each step with its number (from 1), its loss and the newest dev loss."""
    stopping: Callable[[], bool]
    """Whether this process was asked to stop. One process is enough to stop them all."""
    world: ProcessGroup = field(default_factory=ProcessGroup)
    writer: TensorBoardWriter | None = None
    """Set by the main process after `resume`, which knows where the curves go on."""
    step: int = 0
    """Steps made so far. Written by `train` after each step and by `resume`."""
    best_loss: float = math.inf
    """Lowest dev loss so far. Written by each evaluation."""
    best_step: int = 0
    """The step of `best_loss`; 0 before the first evaluation. At the end, the step whose weights were loaded."""
    stale: int = 0
    """Evaluations since the best one. Set to 0 by an evaluation that is better."""
    dev_loss: float | None = None
    """Dev loss of the newest evaluation; None before the first."""
    last_loss: float = math.nan
    """Loss of the newest step."""

    def resume(self) -> int:
        """Continue from the newest checkpoint that is complete, if there is one.

        Returns
        -------
        int
            Steps made so far; 0 without a checkpoint.

        Raises
        ------
        KubeVoiceError
            If there are checkpoints and all are damaged.
        """
        if (state := self.world.broadcast(self.store.load_newest)) is not None:
            self.task.load_state_dict(state)
            for name in COUNTERS:
                # Checkpoints of a vocoder held fewer counters in earlier releases.
                setattr(self, name, state.get(name, getattr(self, name)))
        return self.step

    @property
    def is_finished(self) -> bool:
        """Whether the last step was made, or early stopping ends the run."""
        patience = self.config.early_stop_patience
        return self.step >= self.config.max_steps or (patience is not None and self.stale >= patience)

    def train(self) -> None:
        """Train to the end and leave the best weights in the main process's network.

        Raises
        ------
        Interrupted
            If a process was asked to stop. The state was saved.
        KubeVoiceError
            If a loss is not finite, or another process was lost.
        """
        while not self.is_finished:
            self._make_step()
            evaluated = self.step == self.config.max_steps or self.step % self.config.save_every == 0
            if evaluated:
                self._evaluate()
            if self.writer is not None:
                self.task.write_previews(self.writer, self.step, evaluated=evaluated)
            if evaluated:
                self._save(self.dev_loss)
            self.on_step(self.step, self.last_loss, self.dev_loss)
            if self.world.all_reduce_max(int(self.stopping())) and not self.is_finished:
                if not evaluated:
                    self._save(None)
                raise Interrupted(f"stopped and saved at step {self.step} of {self.config.network}")
        if self.world.is_main_process:
            best = self.store.load_best()
            self.task.load_best(best)
            self.best_step = best["step"] if best is not None else self.best_step

    def _make_step(self) -> None:
        losses = self.task.train_step(self.step)
        if not all(map(math.isfinite, losses.terms.values())):
            raise KubeVoiceError(self.task.describe_divergence(self.step + 1))
        self.step += 1
        self.last_loss = losses.loss
        self._write_scalars(self.config.tags[0], {**losses.terms, **losses.diagnostics})

    def _evaluate(self) -> None:
        if (losses := self.task.evaluate()) is None:
            return
        self._write_scalars(self.config.tags[1], losses.terms)
        self.dev_loss = losses.loss
        self.stale += 1
        if self.dev_loss < self.best_loss:
            self.best_loss, self.best_step, self.stale = self.dev_loss, self.step, 0

    def _save(self, dev_loss: float | None) -> None:
        """Write a checkpoint; `dev_loss` is None for a step that was not evaluated, which cannot be the best."""
        if self.world.is_main_process:
            counters = {name: getattr(self, name) for name in COUNTERS}
            self.store.save(self.step, counters | self.task.state_dict(), dev_loss)
            if self.writer is not None:
                self.writer.publish()

    def _write_scalars(self, tag: str, values: Mapping[str, float]) -> None:
        if self.writer is not None:
            self.writer.write_scalars(tag, values, self.config.first_step + self.step)
