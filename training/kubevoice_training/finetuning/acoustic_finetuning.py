"""Fine-tuning of the acoustic model: deterministic batches, exact resume, best step by dev loss.

Any number of processes makes the same steps: each learns from its share of the clips, and gradients, figures and the
wish to stop are brought together (see `runtime.process_group`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.training import Precision, Recipe
from kubevoice.text import UnitTables
from numpy.typing import NDArray

from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.finetuning.acoustic_step import Collated, Share, Whole, collate, losses
from kubevoice_training.finetuning.batch_sampler import Sampler, step_seed
from kubevoice_training.finetuning.lr_schedule import learning_rate
from kubevoice_training.finetuning.parameter_selection import select_trainable
from kubevoice_training.finetuning.previews import clip_pictures
from kubevoice_training.finetuning.tensorboard import Board
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.runtime.checkpoint_store import CheckpointStore
from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.runtime.process_group import World

__all__ = ["Corpus", "Finetuning"]

STREAMS = ("sy", "tone", "syllable_flag", "word_segment")
Array = NDArray[np.float32]
TERMS = ("total", "mel", "duration", "pitch", "energy", "alignment")
PLACE = ("step", "best_loss", "best_step", "dev_loss", "last_loss", "stale")
"""Where a run is, besides its weights: what a checkpoint holds as plain numbers."""


def computes_in_bf16(precision: Precision, device: torch.device) -> bool:
    """Tell whether the network computes in bfloat16; its weights, the alignment and the losses never do."""
    if precision is Precision.AUTO:
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision is Precision.BF16


@dataclass(frozen=True, slots=True)
class Corpus:
    """What is learned from and what is measured on, in one normalised space."""

    train: Sequence[TrainingClip]
    dev: Sequence[TrainingClip]
    stats: Stats


@dataclass(slots=True)
class Finetuning:
    """One training run; create it, `resume()`, then `run()`."""

    model: Sambert
    corpus: Corpus
    training: Recipe
    store: CheckpointStore
    on_step: Callable[[int, float, float | None], None]
    stopping: Callable[[], bool]
    world: World = field(default_factory=World)
    board: Board | None = None
    """Where the leading process tells how it goes."""
    speak: Callable[[], Mapping[str, Array]] | None = None
    """What is to be heard of the voice every so many steps: waves by name."""
    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    stale: int = 0
    """Dev measurements since the best one."""
    dev_loss: float | None = None
    last_loss: float = math.nan
    free: list[torch.nn.Parameter] = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    sampler: Sampler = field(init=False)
    eos: list[int] = field(init=False)

    def __post_init__(self) -> None:
        if not self.corpus.train:
            raise InputError("no clip is left to train on; lower spec.training.devFraction or add recordings")
        self.free = select_trainable(self.model.to(self.world.device), self.training.trainable)
        self.optimizer = torch.optim.AdamW(self.free, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0)
        lengths = [len(clip.mel) for clip in self.corpus.train]
        self.sampler = Sampler(lengths, self.training.batch_size, self.training.seed)
        tables = UnitTables.load()
        self.eos = [tables.eos[stream] for stream in STREAMS]

    def resume(self) -> int:
        """Continue from the newest whole checkpoint, if there is one; return the step reached."""
        if (state := self.world.told(self.store.newest)) is not None:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name in PLACE:
                setattr(self, name, state[name])
        return self.step

    @property
    def over(self) -> bool:
        """Whether the last step was made, or the dev loss has not got better for as long as the recipe waits."""
        patience = self.training.early_stop_patience
        return self.step >= self.training.max_steps or (patience is not None and self.stale >= patience)

    def run(self) -> None:
        """Train to the end and leave the best weights in the leading process's model.

        Raises Interrupted, after saving, when `stopping()` says so in any process; KubeVoiceError if the loss is no
        longer a number.
        """
        while not self.over:
            self._one_step([self.corpus.train[i] for i in self.sampler.batch(self.step)])
            self._sound()
            measured = self.step == self.training.max_steps or self.step % self.training.save_every == 0
            if measured:
                self._measure()
                self._show()
                self._save(self.dev_loss)
            self.on_step(self.step, self.last_loss, self.dev_loss)
            if self.world.largest(int(self.stopping())) and not self.over:
                if not measured:
                    self._save(None)
                raise Interrupted(f"stopped and saved at step {self.step}")
        if self.world.leads and (best := self.store.best()) is not None:
            self.model.load_state_dict(best["model"])
            self.best_step = best["step"]

    def _one_step(self, clips: list[TrainingClip]) -> None:
        self.model.train()
        torch.manual_seed(step_seed(self.training.seed, self.step, self.world.rank))
        rate = learning_rate(self.step, self.training)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        figures = self._gradients(clips)
        norm = torch.nn.utils.clip_grad_norm_(self.free, self.training.max_gradient_norm or math.inf)
        if not math.isfinite(figures["total"]):
            raise KubeVoiceError(
                f"the loss of step {self.step + 1} is no number; lower spec.training.learningRate "
                f"({self.training.learning_rate:g}) or spec.training.maxGradientNorm"
            )
        self.optimizer.step()
        self.step += 1
        self.last_loss = figures["total"]
        self._log("train", figures | {"gradient_norm": float(norm), "learning_rate": rate})

    def _gradients(self, clips: list[TrainingClip]) -> dict[str, float]:
        """Leave the gradients of the whole batch in the parameters; return its losses by name."""
        whole, mine = Whole.of(clips), self.world.part(clips)
        # A process that has no part goes along with one clip that counts nothing: the others wait for it.
        share = Share.of(mine, whole) if mine else Share(0.0, 0.0, 0.0)
        data = self._collate(mine or clips[:1], whole)
        terms = losses(self.model, data, self.corpus.stats, share, self.world.largest, bf16=self._bf16)
        self.optimizer.zero_grad()
        terms.total.backward()
        self.world.add([parameter.grad for parameter in self.free if parameter.grad is not None])
        return self._summed({name: getattr(terms, name).detach() for name in TERMS})

    def _summed(self, terms: dict[str, torch.Tensor]) -> dict[str, float]:
        """Add figures up over all processes."""
        total = torch.stack(list(terms.values())).double().cpu()
        self.world.add([total])
        return dict(zip(terms, total.tolist(), strict=True))

    @torch.no_grad()
    def _measure(self) -> None:
        """Measure the losses over the dev split, with dropout off; note the best so far."""
        dev, size = self.corpus.dev, self.training.batch_size
        if not dev:
            return
        self.model.eval()
        sums = {name: torch.zeros((), dtype=torch.float64) for name in TERMS}
        for begin in self.world.part(range(0, len(dev), size)):
            group = dev[begin : begin + size]
            terms = losses(self.model, self._collate(group, Whole.of(group)), self.corpus.stats, bf16=self._bf16)
            for name in TERMS:
                sums[name] += getattr(terms, name).double().cpu() * len(group) / len(dev)
        found = self._summed(sums)
        self._log("dev", found)
        self.dev_loss = found["total"]
        self.stale += 1
        if self.dev_loss < self.best_loss:
            self.best_loss, self.best_step, self.stale = self.dev_loss, self.step, 0

    def _save(self, dev_loss: float | None) -> None:
        if self.world.leads:
            state = {name: getattr(self, name) for name in PLACE} | {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            }
            self.store.save(self.step, state, dev_loss)
            if self.board is not None:
                self.board.publish()

    @property
    def _bf16(self) -> bool:
        return computes_in_bf16(self.training.precision, self.world.device)

    def _collate(self, clips: Sequence[TrainingClip], whole: Whole) -> Collated:
        return collate(clips, self.eos, self.model.config.outputs_per_step, whole).to(self.world.device)

    def _log(self, split: str, figures: Mapping[str, float]) -> None:
        if self.board is not None:
            self.board.figures(split, figures, self.step)

    def _show(self) -> None:
        """Show how one clip, held out if there is one, is aligned and predicted."""
        if self.board is not None:
            self.model.eval()
            clip = (self.corpus.dev or self.corpus.train)[:1]
            data = self._collate(clip, Whole.of(clip))
            self.board.pictures(clip_pictures(self.model, data, self.corpus.stats), self.step)

    def _sound(self) -> None:
        """Let the voice be heard."""
        if self.board is not None and self.speak is not None and self.step % self.training.sample_every == 0:
            self.model.eval()
            self.board.sounds(self.speak(), self.step)
