"""Train the base voice's acoustic model on the corpus that base_corpus.py wrote; resumes from its checkpoint.

    python training/recipes/base_acoustic.py CORPUS VOCODER_DIR OUT --minutes 90 --threads 1

VOCODER_DIR holds mel_stats.npz: both networks live in the same normalised mel space.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch
from kubevoice.audio.mel import MelConfig
from kubevoice.text import EMOTIONS, UnitTables, analyse
from kubevoice_training.acoustic import Clip, collate, losses
from kubevoice_training.features import Features, Stats, extract, measure_stats
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.sambert import Sambert
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

MEL = MelConfig()
STREAMS = ("sy", "tone", "syllable_flag", "word_segment")
SPEAKERS = ("hsk", "zf_xiaobei", "zf_xiaoxiao", "zf_xiaoyi", "zm_yunjian", "zm_yunxi", "zm_yunxia", "zm_yunyang")
CONFIG = SambertConfig(
    speakers=len(SPEAKERS) + 3,  # the reference keeps pad, end and mask rows in every table
    emotions=len(EMOTIONS) + 3,
    embedding=256,
    encoder_layers=4,
    encoder_inner=256,
    decoder_layers=6,
    decoder_inner=512,
    predictor_layers=2,
    predictor_inner=128,
    postnet_layers=3,
    postnet_inner=256,
    postnet_memory=128,
)
FRAMES_PER_BATCH = 3600
AVERAGING = 0.998
"""Decay of the weights' moving average, which is what ships: it speaks more clearly than the last step's weights."""


def load_corpus(corpus: Path, mel_stats: Path, cache: Path) -> tuple[list[Clip], Stats]:
    """Analyse text and audio of every clip; the features are cached in one file."""
    index = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    if not cache.exists():
        found = [extract(np.load(corpus / "wavs" / f"{row['id']}.npy") / np.float32(32767.0), MEL) for row in index]
        np.savez(
            cache,
            lengths=np.array([len(f.f0) for f in found]),
            mel=np.concatenate([f.mel.astype(np.float16) for f in found]),
            f0=np.concatenate([f.f0 for f in found]),
            energy=np.concatenate([f.energy for f in found]),
        )
    stored = np.load(cache)
    ends = np.cumsum(stored["lengths"])[:-1]
    parts = zip(*(np.split(stored[name], ends) for name in ("mel", "f0", "energy")), strict=True)
    features = [Features(mel.astype(np.float32), f0, energy) for mel, f0, energy in parts]
    with np.load(mel_stats) as known:
        stats = dataclasses.replace(
            measure_stats(features), mel_mean=known["mel_mean"], mel_std=np.maximum(known["mel_std"], 1e-4)
        )
    tables = UnitTables.load()
    clips = []
    for row, f in zip(index, features, strict=True):
        ids = tables.encode([unit for sentence in analyse(row["text"]).sentences for unit in sentence.units])
        ling = np.stack([ids[stream] for stream in STREAMS], axis=1)
        if len(f.f0) < len(ling):
            continue  # too short to give each symbol a frame
        mel = (f.mel - stats.mel_mean) / stats.mel_std
        clips.append(Clip(ling, EMOTIONS.index(row["emotion"]), SPEAKERS.index(row["speaker"]), mel, f.f0, f.energy))
    return clips, stats


def batches(clips: list[Clip], rng: np.random.Generator) -> list[list[Clip]]:
    """Shuffle into batches of similar length and at most FRAMES_PER_BATCH padded frames."""
    order = sorted(range(len(clips)), key=lambda i: len(clips[i].mel) * rng.uniform(0.9, 1.1))
    groups: list[list[Clip]] = [[]]
    for i in order:
        if groups[-1] and (len(groups[-1]) + 1) * len(clips[i].mel) > FRAMES_PER_BATCH:
            groups.append([])
        groups[-1].append(clips[i])
    rng.shuffle(groups)
    return groups


def save(
    path: Path, model: Sambert, averaged: AveragedModel, optimizer: torch.optim.Optimizer, step: int, spent: float
) -> None:
    """Write the checkpoint beside its place, then rename."""
    state = {
        "model": model.state_dict(),
        "averaged": averaged.module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "spent": spent,
    }
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def main() -> None:
    """Train until the time is over; the rate falls with the share of the time spent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("corpus", "vocoder", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--minutes", type=float, default=90.0, help="of training in all, earlier runs counted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1e-3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    clips, stats = load_corpus(args.corpus, args.vocoder / "mel_stats.npz", args.out / "features.npz")
    stored = {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in dataclasses.asdict(stats).items()
    }
    (args.out / "stats.json").write_text(json.dumps(stored), encoding="utf-8")
    tables = UnitTables.load()
    eos = [tables.eos[stream] for stream in STREAMS]
    model = Sambert(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=1e-4)
    checkpoint, step, before = args.out / "acoustic.pt", 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, before = state["step"], state["spent"]
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING))
    if step:
        averaged.module.load_state_dict(state["averaged"])
        averaged.update_parameters(model)  # the first call would copy the weights instead of averaging them
        averaged.module.load_state_dict(state["averaged"])
    rng = np.random.default_rng(step)
    print(f"{len(clips)} clips, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    began = saved = time.monotonic()
    queue: list[list[Clip]] = []
    while (spent := before + time.monotonic() - began) < args.minutes * 60:
        queue = queue or batches(clips, rng)
        share = spent / (args.minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / 300) * (0.02 + 0.98 * (1.0 - share) ** 1.5)
        terms = losses(model, collate(queue.pop(), eos, CONFIG.outputs_per_step), stats)
        optimizer.zero_grad()
        terms.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(model)
        step += 1
        if step % 25 == 0:
            figures = {f.name: round(float(getattr(terms, f.name).detach()), 4) for f in dataclasses.fields(terms)}
            print(step, f"{spent:.0f}s", figures, flush=True)
        if time.monotonic() - saved > 240:
            saved = time.monotonic()
            save(checkpoint, model, averaged, optimizer, step, spent)
    save(checkpoint, model, averaged, optimizer, step, spent)


if __name__ == "__main__":
    main()
