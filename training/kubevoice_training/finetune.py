"""Fine-tuning of the acoustic model: deterministic batches, exact resume, best step by dev loss."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from kubevoice.errors import InputError
from kubevoice.resources.training import Recipe
from kubevoice.text import UnitTables
from torch.utils.tensorboard import SummaryWriter

from kubevoice_training.acoustic import Clip, Collated, Losses, collate, losses
from kubevoice_training.checkpoint_store import CheckpointStore
from kubevoice_training.features import Stats
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.sampler import Sampler, step_seed
from kubevoice_training.schedule import learning_rate
from kubevoice_training.trainable import select_trainable

__all__ = ["Corpus", "Finetuning", "Interrupted"]

STREAMS = ("sy", "tone", "syllable_flag", "word_segment")
CLIP_NORM = 1.0
PLACE = ("step", "best_loss", "best_step", "dev_loss", "last_loss")
"""Where a run is, besides its weights: what a checkpoint holds as plain numbers."""


class Interrupted(Exception):  # noqa: N818  # not an error: training was asked to stop and has saved itself
    """Training stopped because it was asked to; its last step is saved."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """What is learned from and what is measured on, in one normalised space."""

    train: Sequence[Clip]
    dev: Sequence[Clip]
    stats: Stats


@dataclass(slots=True)
class Finetuning:
    """One training run; create it, `resume()`, then `run()`."""

    model: Sambert
    corpus: Corpus
    training: Recipe
    store: CheckpointStore
    board: SummaryWriter
    on_step: Callable[[int, float, float | None], None]
    stopping: Callable[[], bool]
    step: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    dev_loss: float | None = None
    last_loss: float = math.nan
    optimizer: torch.optim.AdamW = field(init=False)
    sampler: Sampler = field(init=False)
    eos: list[int] = field(init=False)

    def __post_init__(self) -> None:
        if not self.corpus.train:
            raise InputError("no clip is left to train on; lower spec.training.devFraction or add recordings")
        free = select_trainable(self.model, self.training.trainable)
        self.optimizer = torch.optim.AdamW(free, lr=self.training.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
        lengths = [len(clip.mel) for clip in self.corpus.train]
        self.sampler = Sampler(lengths, self.training.batch_size, self.training.seed)
        tables = UnitTables.load()
        self.eos = [tables.eos[stream] for stream in STREAMS]

    def resume(self) -> int:
        """Continue from the newest whole checkpoint, if there is one; return the step reached."""
        if (state := self.store.newest()) is not None:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name in PLACE:
                setattr(self, name, state[name])
        return self.step

    def run(self) -> None:
        """Train to the last step and leave the best weights in the model.

        Raises Interrupted, after saving, when `stopping()` says so.
        """
        while self.step < self.training.max_steps:
            self._one_step([self.corpus.train[i] for i in self.sampler.batch(self.step)])
            done = self.step == self.training.max_steps
            if done or self.step % self.training.save_every == 0:
                self._measure()
                self._save(self.dev_loss)
            self.on_step(self.step, self.last_loss, self.dev_loss)
            if not done and self.stopping():
                if self.step % self.training.save_every:
                    self._save(None)
                raise Interrupted(f"stopped and saved at step {self.step}")
        if (best := self.store.best()) is not None:
            self.model.load_state_dict(best["model"])
            self.best_step = best["step"]

    def _one_step(self, clips: list[Clip]) -> None:
        self.model.train()
        torch.manual_seed(step_seed(self.training.seed, self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.training)
        terms = losses(self.model, self._collate(clips), self.corpus.stats)
        self.optimizer.zero_grad()
        terms.total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.step += 1
        self.last_loss = float(terms.total.detach())
        self._log("train", terms)
        self.board.add_scalar("learning_rate", learning_rate(self.step - 1, self.training), self.step)

    @torch.no_grad()
    def _measure(self) -> None:
        """Measure the loss over the dev split, with dropout off; note the best so far."""
        if not self.corpus.dev:
            return
        self.model.eval()
        size = self.training.batch_size
        dev = self.corpus.dev
        groups = [dev[i : i + size] for i in range(0, len(dev), size)]
        found = [losses(self.model, self._collate(group), self.corpus.stats) for group in groups]
        weights = [len(group) / len(dev) for group in groups]
        self.dev_loss = sum(float(terms.total) * w for terms, w in zip(found, weights, strict=True))
        self.board.add_scalar("dev/total", self.dev_loss, self.step)
        if self.dev_loss < self.best_loss:
            self.best_loss, self.best_step = self.dev_loss, self.step

    def _save(self, dev_loss: float | None) -> None:
        state = {name: getattr(self, name) for name in PLACE} | {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        self.store.save(self.step, state, dev_loss)

    def _collate(self, clips: Sequence[Clip]) -> Collated:
        return collate(clips, self.eos, self.model.config.outputs_per_step)

    def _log(self, split: str, terms: Losses) -> None:
        for name in ("total", "mel", "duration", "pitch", "energy", "alignment"):
            self.board.add_scalar(f"{split}/{name}", float(getattr(terms, name).detach()), self.step)
