"""Train the base voice's acoustic model on the corpus of base_corpus.py and base_data.py; resumes from its checkpoint.

    python training/recipes/base_acoustic.py CORPUS OUT --start voices/base/checkpoint --minutes 6 --device cuda \
        --frames 24000 --workers 6 --predict

It goes on from a released voice, whose mel space, pitch and energy it keeps. With --predict it ends by saying its
corpus again, frame by frame in step with the recordings, for base_vocoder.py to learn from: durations, pitch and
energy are the recording's own, found by the model's own aligner; the mel is decoded from the model's own frames as at
work.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from base_data import EMOTION_ROWS, SPEAKERS, Recording, keep, recordings
from kubevoice_training.acoustic import Clip, Collated, align, collate, losses
from kubevoice_training.checkpoint import VoiceWeights, load_weights
from kubevoice_training.models.layers import valid
from kubevoice_training.models.sambert import Batch, Sambert, band_width
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

AVERAGING = 0.999
"""Decay of the weights' moving average, which is what ships: it speaks more clearly than the last step's weights."""
ROUNDS = 4
"""Passes in which the decoder's input frames are replaced by what it said in the last pass, from its own mel on."""
EPOCHS = 20
SAVE_EVERY = 60.0
LONGEST = 1200
"""Frames; longer clips are left out."""


def clip(recording: Recording, voice: VoiceWeights) -> Clip:
    """Normalise a recording as the voice reads it."""
    stats = voice.stats
    return Clip(
        ling=recording.ling,
        emotion=EMOTION_ROWS[recording.row.emotion],
        speaker=SPEAKERS.index(recording.row.speaker),
        mel=((recording.mel.astype(np.float32) - stats.mel_mean) / stats.mel_std).astype(np.float32),
        f0=recording.f0,
        energy=recording.energy,
    )


class Batches(Dataset[Collated]):
    """Batches of clips of similar length and at most `frames` padded frames, by the numbers of their clips."""

    def __init__(self, clips: Sequence[Clip], groups: list[list[int]], eos: list[int], step: int) -> None:
        self.clips, self.groups, self.eos, self.step = clips, groups, eos, step

    def __len__(self) -> int:
        return len(self.groups)

    @override
    def __getitem__(self, number: int) -> Collated:
        return collate([self.clips[i] for i in self.groups[number]], self.eos, self.step)


def groups(clips: Sequence[Clip], frames: int, rng: np.random.Generator) -> list[list[int]]:
    """Shuffle clips into batches of similar length."""
    order = sorted(range(len(clips)), key=lambda i: len(clips[i].mel) * rng.uniform(0.9, 1.1))
    made: list[list[int]] = [[]]
    for i in order:
        if made[-1] and (len(made[-1]) + 1) * len(clips[i].mel) > frames:
            made.append([])
        made[-1].append(i)
    rng.shuffle(made)
    return made


def endless(
    clips: Sequence[Clip], args: argparse.Namespace, eos: list[int], step: int, seed: int
) -> Iterator[Collated]:
    """Yield batches for ever, each epoch shuffled anew; the workers live for several."""
    rng = np.random.default_rng(seed)
    while True:
        made = [group for _ in range(EPOCHS) for group in groups(clips, args.frames, rng)]
        yield from DataLoader(Batches(clips, made, eos, step), batch_size=None, num_workers=args.workers)


@torch.inference_mode()
def predict(model: Sambert, batch: Batch) -> torch.Tensor:
    """Return the mel [B, T, M] that the model says along the batch's durations, pitch and energy."""
    r = model.config.outputs_per_step
    mask, frames = valid(batch.symbols, batch.ling.shape[1]), valid(batch.frames, batch.mel.shape[1])
    text = model.text_encoder(batch.ling, mask)
    text = model.variance_adaptor.augment(text, batch.pitch, batch.energy)
    speaker, emotion = model.spk_tokenizer(batch.speaker), model.emo_tokenizer(batch.emotion)
    memory = model.memory(text, speaker, emotion, batch.durations, frames)
    band, steps = band_width(batch.durations.masked_fill(~mask, 0), r), frames[:, ::r].sum(dim=1)
    spoken = batch.mel
    for _ in range(ROUNDS):
        previous = F.pad(spoken[:, r - 1 :: r], (0, 0, 1, 0))[:, :-1]
        spoken = model.mel_decoder.mel_dec(memory, previous, steps, band)
    mel: torch.Tensor = model.mel_postnet(spoken.masked_fill(~frames.unsqueeze(-1), 0.0), frames)
    return mel


def predict_all(
    model: Sambert, clips: Sequence[Clip], voice: VoiceWeights, args: argparse.Namespace, eos: list[int]
) -> None:
    """Say every clip again; CORPUS gets predicted.npy, the mels (normalised, float16) one after the other."""
    model.eval()
    device = next(model.parameters()).device
    said: dict[int, np.ndarray] = {}
    made = groups(clips, 2 * args.frames, np.random.default_rng(0))
    batches = Batches(clips, made, eos, model.config.outputs_per_step)
    loader = DataLoader(batches, batch_size=None, num_workers=args.workers)
    with torch.inference_mode():
        for group, collated in zip(made, loader, strict=True):
            batch, _ = align(model, collated.to(device), voice.stats)
            for i, mel in zip(group, predict(model, batch).cpu(), strict=True):
                said[i] = mel[: len(clips[i].mel)].numpy().astype(np.float16)
    np.save(args.corpus / "predicted.tmp.npy", np.concatenate([said[i] for i in range(len(clips))]))
    (args.corpus / "predicted.tmp.npy").replace(args.corpus / "predicted.npy")


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="checkpoint folder of a released voice")
    parser.add_argument("--minutes", type=float, default=90.0, help="of training in all, earlier runs counted")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=3600, help="in a batch, padding counted")
    parser.add_argument("--workers", type=int, default=0, help="processes that put batches together")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--predict", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Train until the time is over; the rate falls with the share of the time spent."""
    args = options()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    args.out.mkdir(parents=True, exist_ok=True)
    voice = load_weights(args.start)
    with np.load(args.corpus / "features.npz") as stored:
        eos = stored["eos"].tolist()
    everything = [clip(each, voice) for each in recordings(args.corpus)]
    clips = [each for each in everything if len(each.mel) <= LONGEST]
    model = voice.acoustic.train().to(args.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=1e-4)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING))
    checkpoint, step, before = args.out / "acoustic.pt", 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=args.device, weights_only=True)
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        step, before = state["step"], state["spent"]
    print(f"{len(clips)} clips, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    began = saved = time.monotonic()
    spent = before

    def save() -> None:
        parts: dict[str, Any] = {"model": model, "averaged": averaged, "optimizer": optimizer}
        states = {name: part.state_dict() for name, part in parts.items()}
        keep(checkpoint, states | {"step": step, "spent": spent}, averaged.module)

    batches = endless(clips, args, eos, model.config.outputs_per_step, step)
    while (spent := before + time.monotonic() - began) < args.minutes * 60:
        share = spent / (args.minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / 300) * (0.01 + 0.99 * (1.0 - share) ** 1.5)
        terms = losses(model, next(batches).to(args.device), voice.stats)
        optimizer.zero_grad()
        terms.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(model)
        step += 1
        if step % 50 == 0:
            figures = {f.name: round(float(getattr(terms, f.name).detach()), 4) for f in dataclasses.fields(terms)}
            print(step, f"{spent:.0f}s", figures, flush=True)
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            save()
    save()
    if args.predict:
        predict_all(cast("Sambert", averaged.module), everything, voice, args, eos)


if __name__ == "__main__":
    main()
