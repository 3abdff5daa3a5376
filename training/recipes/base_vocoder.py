"""Train the base voice's vocoder on the corpus that base_corpus.py wrote; resumes from its newest checkpoint.

    python training/recipes/base_vocoder.py CORPUS OUT --minutes 90
    python training/recipes/base_vocoder.py CORPUS OUT --minutes 90 --start voices/base/checkpoint --rate 3e-4

With --start it goes on from a released voice, whose mel space it keeps: discriminators do not ship, so new ones
first learn alone (--judges-from 0 --judged-from 400). Where base_predicted.py left its mels in CORPUS, it learns from
those clips, half of the time with those mels: at work the vocoder hears the acoustic model, which is smoother than
any recording.
"""

import argparse
import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from base_corpus import choosing_words
from kubevoice.audio.mel import MelConfig, log_mel
from kubevoice_training.checkpoint import load_weights
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.vocoder_training import Adversaries, Reconstruction

MEL = MelConfig()
CONFIG = GeneratorConfig(
    resblock_kernel_sizes=(3, 7), resblock_dilations=((1, 3), (1, 3))
)  # the paper's V2 width with the two cheaper kernels: half the work on a CPU
SEGMENT, CONTEXT, BATCH = 32, 8, 8  # frames of loss, frames of left context before them, clips
JUDGES_RATE = 4e-4
PREDICTED = 0.5
"""How often a clip's mel is the acoustic model's, where there is one."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording: wave [T * hop] (int16) and the mels [T, M] (normalised, float16) that may stand for it."""

    wave: np.ndarray
    mels: tuple[np.ndarray, ...]


@dataclass(slots=True)
class Training:
    """Everything that changes from step to step."""

    parties: Adversaries
    step: int = 0
    spent: float = 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint beside its place, then rename."""
        averaged = self.parties.averaged.module.state_dict()
        state = self.parties.state() | {"averaged": averaged, "step": self.step, "spent": self.spent}
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.step, self.spent = state.pop("step"), state.pop("spent")
        averaged = state.pop("averaged")
        self.parties.restore(state | {"averaged": self.parties.averaged.state_dict()})
        # The first call copies the weights instead of averaging them.
        self.parties.averaged.update_parameters(self.parties.generator)
        self.parties.averaged.module.load_state_dict(averaged)


def load_corpus(corpus: Path, known: dict[str, np.ndarray] | None) -> tuple[list[Clip], dict[str, np.ndarray]]:
    """Read every clip but those of the words to choose by; returns the mels' statistics too, `known` or measured."""
    predicted: dict[str, np.ndarray] = {}
    if (corpus / "predicted.npz").exists():
        with np.load(corpus / "predicted.npz") as stored:
            predicted = {name: stored[name] for name in stored.files}
    apart = choosing_words()
    index = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    names = [row["id"] for row in index if row["text"] not in apart and (not predicted or row["id"] in predicted)]
    waves = {name: np.load(corpus / "wavs" / f"{name}.npy") for name in names}
    long_enough = (SEGMENT + CONTEXT + 2) * MEL.hop_length
    mels = {i: log_mel(w.astype(np.float32) / 32767.0, MEL) for i, w in waves.items() if len(w) > long_enough}
    if known is None:
        frames = np.concatenate(list(mels.values()))
        known = {"mel_mean": frames.mean(axis=0), "mel_std": frames.std(axis=0)}
    clips = []
    for name, mel in mels.items():
        own = ((mel - known["mel_mean"]) / known["mel_std"]).astype(np.float16)
        clips.append(Clip(waves[name], (own, predicted[name]) if name in predicted else (own,)))
    return clips, known


def batch(clips: list[Clip], odds: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw mel [B, M, CONTEXT + SEGMENT] and the waves of the SEGMENT part [B, 1, SEGMENT * hop]."""
    x, y = [], []
    for i in rng.choice(len(clips), BATCH, p=odds):
        clip = clips[i]
        mel = clip.mels[-1 if rng.random() < PREDICTED else 0]
        start = rng.integers(0, len(clip.wave) // MEL.hop_length - SEGMENT - CONTEXT)
        x.append(mel[start : start + CONTEXT + SEGMENT].T)
        begin = (start + CONTEXT) * MEL.hop_length
        y.append(clip.wave[begin : begin + SEGMENT * MEL.hop_length])
    real = torch.from_numpy(np.stack(y).astype(np.float32) / 32767.0).unsqueeze(1)
    return torch.from_numpy(np.stack(x).astype(np.float32)), real


def start(folder: Path | None) -> tuple[Generator, dict[str, np.ndarray] | None]:
    """Return a generator, a released voice's if a checkpoint folder is named, and the mel statistics it knows."""
    if folder is None:
        return Generator(CONFIG), None
    weights = load_weights(folder)
    stats = {"mel_mean": weights.stats.mel_mean, "mel_std": weights.stats.mel_std}
    return copy.deepcopy(weights.vocoder).train(), stats


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, help="checkpoint folder of a released voice")
    parser.add_argument("--minutes", type=float, default=90.0, help="of training in all, earlier runs counted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=5e-4, help="the generator's highest, once it is judged")
    parser.add_argument("--judges-from", type=int, default=5000, help="step from which discriminators learn")
    parser.add_argument("--judged-from", type=int, default=5000, help="step from which they steer the generator")
    return parser.parse_args()


def main() -> None:
    """Train until the time is over."""
    args = options()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    generator, known = start(args.start)
    clips, stats = load_corpus(args.corpus, known)
    np.savez(args.out / "mel_stats.npz", allow_pickle=False, **stats)
    odds = np.array([len(clip.wave) for clip in clips], np.float64)
    odds /= odds.sum()
    parties = Adversaries.of(generator, args.rate, JUDGES_RATE)
    run, losses = Training(parties), Reconstruction(MEL)
    checkpoint = args.out / "vocoder.pt"
    if checkpoint.exists():
        run.resume(checkpoint)
    rng = np.random.default_rng(run.step)
    began, saved = time.monotonic() - run.spent, time.monotonic()
    while (share := run.spent / (args.minutes * 60)) < 1.0:
        judged = run.step >= args.judged_from
        for group in parties.g_opt.param_groups:
            group["lr"] = args.rate * min(1.0, (run.step + 1) / 200) * (0.05 + 0.95 * (1.0 - share)) * (2 - judged)
        mel, real = batch(clips, odds, rng)
        alone = run.step < args.judged_from and run.step >= args.judges_from
        with torch.set_grad_enabled(not alone):
            fake = parties.generator(mel)[..., CONTEXT * MEL.hop_length :]
        figures = {}
        if run.step >= args.judges_from:
            figures["d"] = parties.teach_judges(real, fake)
        if not alone:
            figures |= parties.teach_generator(losses, real, fake, judged=judged)
        run.step += 1
        run.spent = time.monotonic() - began
        if run.step % 50 == 0:
            print(run.step, f"{run.spent:.0f}s", {k: round(float(v), 4) for k, v in figures.items()}, flush=True)
        if time.monotonic() - saved > 240:
            saved = time.monotonic()
            run.save(checkpoint)
    run.save(checkpoint)


if __name__ == "__main__":
    main()
