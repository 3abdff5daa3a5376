"""Fine-tuning of the vocoder on the recordings: exact resume and any number of processes, as for the acoustic model.

Discriminators do not ship with a voice. New ones first learn alone, for what they say before they can tell a voice
from a recording would only spoil the generator.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from kubevoice.audio.mel import MelConfig
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.training import Recipe
from numpy.typing import NDArray
from torch import Tensor

from kubevoice_training.finetuning.batch_sampler import step_seed
from kubevoice_training.finetuning.tensorboard import Board
from kubevoice_training.finetuning.vocoder_step import Adversaries, Reconstruction
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.runtime.checkpoint_store import CheckpointStore
from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.runtime.process_group import World

__all__ = ["Recording", "VocoderTuning"]

SEGMENT, CONTEXT = 32, 8
"""Frames of a segment that are compared, and frames before them that only lead to them."""
RATE, JUDGES_RATE = 1e-4, 4e-4
ALONE = 0.2
"""Share of the steps in which the discriminators learn alone."""
MEASURED = 16
"""Held-out segments whose mel is measured."""
PLACE = ("step", "best_loss", "dev_loss", "last_loss")


@dataclass(frozen=True, slots=True)
class Recording:
    """One clip: mel [T, M] (normalised) and the wave [samples] (int16) it was taken from."""

    mel: NDArray[np.float32]
    wave: NDArray[np.int16]

    def last_start(self, hop: int) -> int:
        """Return the last frame at which a whole segment may begin; below 0 if the clip is too short."""
        return min(len(self.mel), len(self.wave) // hop) - SEGMENT - CONTEXT


def segments(cuts: Sequence[tuple[Recording, int]], hop: int) -> tuple[Tensor, Tensor]:
    """Cut clips at frames: mels [B, M, CONTEXT + SEGMENT] and waves [B, 1, SEGMENT * hop] of all but the context."""
    mels = np.stack([clip.mel[start : start + CONTEXT + SEGMENT].T for clip, start in cuts])
    begins = [(clip, (start + CONTEXT) * hop) for clip, start in cuts]
    waves = np.stack([clip.wave[begin : begin + SEGMENT * hop] for clip, begin in begins])
    return torch.from_numpy(mels.astype(np.float32)), torch.from_numpy(waves.astype(np.float32) / 32767.0).unsqueeze(1)


@dataclass(slots=True)
class VocoderTuning:
    """One run over `recipe.vocoder.max_steps` steps; create it, `resume()`, then `run()`."""

    generator: Generator
    train: Sequence[Recording]
    dev: Sequence[Recording]
    mel: MelConfig
    recipe: Recipe
    store: CheckpointStore
    on_step: Callable[[int, float, float | None], None]
    stopping: Callable[[], bool]
    world: World = field(default_factory=World)
    board: Board | None = None
    step: int = 0
    best_loss: float = math.inf
    dev_loss: float | None = None
    last_loss: float = math.nan
    parties: Adversaries = field(init=False)
    losses: Reconstruction = field(init=False)

    def __post_init__(self) -> None:
        hop = self.mel.hop_length
        self.train, self.dev = ([c for c in clips if c.last_start(hop) >= 0] for clips in (self.train, self.dev))
        if not self.train:
            raise InputError(
                f"no recording has the {(SEGMENT + CONTEXT) * hop / self.mel.sample_rate:.2f} s that the vocoder "
                "learns from at once; set spec.training.vocoder.mode to Frozen"
            )
        torch.manual_seed(step_seed(self.recipe.seed, -1))  # the discriminators' first weights
        self.parties = Adversaries.of(self.generator.to(self.world.device), RATE, JUDGES_RATE)
        self.losses = Reconstruction(self.mel).to(self.world.device)

    def resume(self) -> int:
        """Continue from the newest whole checkpoint, if there is one; return the step reached."""
        if (state := self.world.told(self.store.newest)) is not None:
            self.parties.restore(state)
            for name in PLACE:
                setattr(self, name, state[name])
        return self.step

    def run(self) -> None:
        """Train to the last step and leave the best averaged weights in the leading process's generator.

        Raises Interrupted, after saving, when `stopping()` says so in any process; KubeVoiceError if a loss is no
        number.
        """
        last = self.recipe.vocoder.max_steps
        while self.step < last:
            self._one_step()
            measured = self.step == last or self.step % self.recipe.save_every == 0
            if measured:
                self._measure()
                self._save(self.dev_loss)
            self.on_step(self.step, self.last_loss, self.dev_loss)
            if self.world.largest(int(self.stopping())) and self.step < last:
                if not measured:
                    self._save(None)
                raise Interrupted(f"stopped and saved at step {self.step} of the vocoder")
        if self.world.leads:
            best = self.store.best()
            averaged = self.parties.averaged
            if best is not None:
                averaged.load_state_dict(best["averaged"])
            self.generator.load_state_dict(averaged.module.state_dict())

    def _cuts(self) -> list[tuple[Recording, int]]:
        """Draw the segments of a step, longer clips more often: a pure function of seed and step."""
        rng, hop = np.random.default_rng(step_seed(self.recipe.seed, self.step)), self.mel.hop_length
        room = np.array([clip.last_start(hop) + 1.0 for clip in self.train])
        chosen = rng.choice(len(self.train), self.recipe.batch_size, p=room / room.sum())
        return [(self.train[i], int(rng.integers(0, self.train[i].last_start(hop) + 1))) for i in chosen]

    def _one_step(self) -> None:
        torch.manual_seed(step_seed(self.recipe.seed, self.step, self.world.rank))
        cuts = self._cuts()
        mine = self.world.part(cuts)
        # A process that has no part goes along with one segment that counts nothing: the others wait for it.
        share = len(mine) / len(cuts)
        mel, real = (x.to(self.world.device) for x in segments(mine or cuts[:1], self.mel.hop_length))
        last = self.recipe.vocoder.max_steps
        judged = self.step >= int(ALONE * last)
        for group in self.parties.g_opt.param_groups:
            group["lr"] = RATE * 0.5 * (1.0 + math.cos(math.pi * self.step / last))
        with torch.set_grad_enabled(judged):
            fake = self.generator(mel)[..., CONTEXT * self.mel.hop_length :]
        figures = {"judges": self.parties.teach_judges(real, fake, share, self.world.add)}
        if judged:
            figures |= self.parties.teach_generator(self.losses, real, fake, share, self.world.add, judged=True)
        self._tell(figures)

    def _tell(self, figures: Mapping[str, Tensor]) -> None:
        total = torch.stack(list(figures.values())).double().cpu()
        self.world.add([total])
        found = dict(zip(figures, total.tolist(), strict=True))
        if not all(map(math.isfinite, found.values())):
            raise KubeVoiceError(
                f"a loss of the vocoder's step {self.step + 1} is no number; set spec.training.vocoder.mode to Frozen"
            )
        self.step += 1
        self.last_loss = found.get("mel", found["judges"])
        self._log("vocoder", found)

    @torch.no_grad()
    def _measure(self) -> None:
        """Measure the mel loss of the averaged generator on the middle of held-out clips."""
        if not self.dev:
            return
        cuts = [(clip, clip.last_start(self.mel.hop_length) // 2) for clip in self.dev[:MEASURED]]
        mel, real = (x.to(self.world.device) for x in segments(cuts, self.mel.hop_length))
        fake = self.parties.averaged.module(mel)[..., CONTEXT * self.mel.hop_length :]
        self.dev_loss = float(self.losses(fake, real)["mel"])
        self.best_loss = min(self.best_loss, self.dev_loss)
        self._log("vocoder-dev", {"mel": self.dev_loss})

    def _save(self, dev_loss: float | None) -> None:
        if self.world.leads:
            self.store.save(self.step, self.parties.state() | {name: getattr(self, name) for name in PLACE}, dev_loss)
            if self.board is not None:
                self.board.publish()

    def _log(self, split: str, figures: Mapping[str, float]) -> None:
        if self.board is not None:
            self.board.figures(split, figures, self.recipe.max_steps + self.step)
