"""Measure the speed and the peak memory of a training step, beside a plain implementation of the same network.

    .venv/bin/python benchmarks/training_speed.py --output benchmarks/results/training_speed.json

"Plain" is the product's own network and step with these parts replaced by their simplest form: attention that computes
its weights, the aligner's distances as one difference, and Python loops over frames and symbols for the monotonic
alignment, the means per symbol and the repetition of rows. The losses of both are compared and must agree. Each
measurement is a process of its own. Plain and ours alternate, so that both run under the same load, and the minimum
time of a step counts, because other load only adds time.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from kubevoice.resources.training import Recipe
from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.finetuning import acoustic_step, collation
from kubevoice_training.finetuning.acoustic_step import compute_losses
from kubevoice_training.finetuning.collation import BatchSize, collate
from kubevoice_training.models import aligner, length_regulator, sambert
from kubevoice_training.models.config import SambertConfig
from torch import Tensor
from torch.nn import functional as F

SIZES = {
    "default": SambertConfig(),
    "small": SambertConfig(
        embedding=256, encoder_layers=4, encoder_inner=256, predictor_layers=2, predictor_inner=128, decoder_layers=6,
        decoder_inner=512, postnet_layers=3, postnet_inner=256, postnet_memory=128,
    ),
}  # fmt: skip
"""The sizes of the reference's 24 kHz voice, and of the built-in voice."""
SYMBOLS, FRAMES = (30, 80), (250, 600)
"""Ranges for clips of 2.5 to 6 seconds."""


def build_clips(count: int) -> list[TrainingClip]:
    """Build clips of random features; the same on every call."""
    rng = np.random.default_rng(1)
    clips = []
    for _ in range(count):
        n, t = int(rng.integers(*SYMBOLS)), int(rng.integers(*FRAMES))
        ling = np.stack([rng.integers(0, size - 3, n) for size in (147, 10, 8, 8)], axis=1)
        f0 = np.where(rng.random(t) < 0.7, rng.uniform(80, 300, t), 0.0).astype(np.float32)
        mel = rng.standard_normal((t, 80)).astype(np.float32)
        clips.append(TrainingClip(ling, int(rng.integers(0, 8)), 0, mel, f0, rng.random(t).astype(np.float32)))
    return clips


def attend_plainly(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """Compute scaled dot-product attention by its formula (Vaswani et al., arXiv 1706.03762, eq. 1).

    Parameters
    ----------
    q : [..., T_query, D].
    k, v : [..., T_key, D].
    mask : broadcastable to [..., T_query, T_key], False where attention is not allowed.
    dropout : share of the weights that is dropped.

    Returns
    -------
    Tensor
        [..., T_query, D].
    """
    score = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    score = score if mask is None else score.masked_fill(~mask, float("-inf"))
    return F.dropout(score.softmax(dim=-1), dropout) @ v


def align_plainly(self: aligner.AlignAttention, mel: Tensor, text: Tensor, mask: Tensor, prior: Tensor) -> tuple:
    """Compute the aligner's soft alignment from the differences of all frames and symbols."""
    keys = self.key_proj(text.transpose(1, 2)).transpose(1, 2)
    queries = self.query_proj(mel.transpose(1, 2)).transpose(1, 2)
    distance = (queries.unsqueeze(2) - keys.unsqueeze(1)).square().sum(-1)
    log_probability = F.log_softmax(-aligner.TEMPERATURE * distance, dim=-1) + torch.log(prior + 1e-8)
    return log_probability.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(dim=-1), log_probability


def repeat_plainly(x: Tensor, durations: Tensor, _total: int | None = None) -> Tensor:
    """Repeat rows one by one.

    Parameters
    ----------
    x : [B, T_text, D].
    durations : [B, T_text], how often each row is repeated; every item has the same sum.

    Returns
    -------
    Tensor
        [B, sum of durations, D].
    """
    rows = [
        torch.stack([row for row, times in zip(item, repeats.tolist(), strict=True) for _ in range(times)])
        for item, repeats in zip(x, durations, strict=True)
    ]
    return torch.stack(rows)


def average_plainly(values: Tensor, durations: Tensor) -> Tensor:
    """Average the non-zero frames of each symbol, one symbol after another.

    Parameters
    ----------
    values : [B, T_mel].
    durations : [B, T_text], in frames.

    Returns
    -------
    Tensor
        [B, T_text]; 0 for a symbol without non-zero frames.
    """
    means = torch.zeros(durations.shape)
    for i, repeats in enumerate(durations.tolist()):
        at = 0
        for n, times in enumerate(repeats):
            frames = [value for value in values[i, at : at + times].tolist() if value]
            means[i, n] = sum(frames) / len(frames) if frames else 0.0
            at += times
    return means


def search_alignment_plainly(soft_alignment: Tensor, text_lengths: Tensor, mel_lengths: Tensor) -> Tensor:
    """Find the best monotonic alignment, as durations [B, T_text], with loops over frames and symbols."""
    log_soft = torch.log(soft_alignment.detach().clamp(min=torch.finfo(torch.float32).tiny)).numpy()
    durations = torch.zeros(soft_alignment.shape[0], soft_alignment.shape[2], dtype=torch.int64)
    for i, (symbols, frames) in enumerate(zip(text_lengths.tolist(), mel_lengths.tolist(), strict=True)):
        score = np.full((frames, symbols), -np.inf, np.float32)
        score[0, 0] = log_soft[i, 0, 0]
        for t in range(1, frames):
            for n in range(min(t + 1, symbols)):
                score[t, n] = log_soft[i, t, n] + max(score[t - 1, n], score[t - 1, n - 1] if n else -np.inf)
        n = symbols - 1
        for t in range(frames - 1, -1, -1):
            durations[i, n] += 1
            if t and n and score[t - 1, n - 1] >= score[t - 1, n]:
                n -= 1
    return durations


def build_plain_patches() -> list:
    """Return the patches that replace the product's functions by the plain ones."""
    return [
        patch.object(F, "scaled_dot_product_attention", attend_plainly),
        patch.object(aligner.AlignAttention, "forward", align_plainly),
        patch.object(acoustic_step, "monotonic_alignment_search", search_alignment_plainly),
        patch.object(aligner, "beta_binomial_prior", aligner.beta_binomial_prior.__wrapped__),
        patch.object(collation, "beta_binomial_prior", aligner.beta_binomial_prior.__wrapped__),
        patch.object(acoustic_step, "average_per_symbol", average_plainly),
        patch.object(sambert, "regulate_length", repeat_plainly),
        patch.object(length_regulator, "regulate_length", repeat_plainly),
    ]


def build_step(size: str, batch: int) -> Callable[[], float]:
    """Build a step of fine-tuning.

    Parameters
    ----------
    size
        Name of the network's size in `SIZES`.
    batch
        Clips in a batch.

    Returns
    -------
    callable
        Makes one step, from clips to updated weights, and returns the loss.
    """
    torch.manual_seed(0)
    model, data, eos = sambert.Sambert(SIZES[size]), build_clips(batch), [145, 8, 6, 6]
    stats = Stats(np.zeros(80, np.float32), np.ones(80, np.float32), 180.0, 60.0, 0.5, 0.3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=Recipe().learning_rate)

    def step() -> float:
        model.train()
        torch.manual_seed(1)
        terms = compute_losses(
            model, collate(data, eos, model.config.outputs_per_step, BatchSize.from_clips(data)), stats
        )
        optimizer.zero_grad()
        terms.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(terms.total.detach())

    return step


def measure(size: str, kind: str, batch: int, steps: int) -> dict[str, float]:
    """Measure steps in this process; the first, which warms caches, does not count.

    Parameters
    ----------
    size
        Name of the network's size in `SIZES`.
    kind
        "ours", or "plain" for the patches of `build_plain_patches`.
    batch
        Clips in a batch.
    steps
        Measured steps.

    Returns
    -------
    dict
        Loss of the first step, CPU seconds of the fastest step, and peak memory of the process in MB.
    """
    torch.set_num_threads(1)
    for one in build_plain_patches() if kind == "plain" else []:
        one.start()
    step = build_step(size, batch)
    first, seconds = step(), []
    for _ in range(steps):
        began = time.process_time()
        step()
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"loss": first, "secondsPerStep": min(seconds), "peakMb": peak}


def compare(size: str, batch: int, steps: int, rounds: int) -> dict[str, object]:
    """Measure both kinds alternately, each in a process of its own.

    Parameters
    ----------
    size, batch, steps
        See `measure`.
    rounds
        Measurements of each kind.

    Returns
    -------
    dict
        The best steps per second, memory and loss of each kind, and how many times faster ours is.
    """
    measurements: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
    for _ in range(rounds):
        for kind, rows in measurements.items():
            command = [sys.executable, __file__, "--one", size, kind, "--batch", str(batch), "--steps", str(steps)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  # this script
            rows.append(json.loads(output))
    best = {
        kind: {
            "stepsPerSecond": round(1.0 / min(row["secondsPerStep"] for row in rows), 3),
            "peakMb": round(min(row["peakMb"] for row in rows)),
            "loss": round(rows[0]["loss"], 4),
        }
        for kind, rows in measurements.items()
    }
    ours, plain = best["ours"], best["plain"]
    same = abs(ours["loss"] - plain["loss"]) < 0.05 * plain["loss"]
    faster = round(ours["stepsPerSecond"] / plain["stepsPerSecond"], 2)
    return best | {"faster": faster, "sameLoss": same}


def main() -> int:
    """Measure all sizes and print the report; return 1 if plain is faster or its loss differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("SIZE", "KIND"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(*args.one, args.batch, args.steps)))
        return 0
    report: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread, torch {torch.__version__}",
        "loadBefore": [round(x, 1) for x in os.getloadavg()],
        "clock": "CPU seconds of the process",
        "batch": args.batch,
        "sizes": {size: compare(size, args.batch, args.steps, args.rounds) for size in SIZES},
    }
    text = json.dumps(report, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    return int(not all(row["sameLoss"] and row["faster"] >= 1.0 for row in report["sizes"].values()))


if __name__ == "__main__":
    sys.exit(main())
