"""Train the base voice's acoustic model on the corpus of base_corpus.py and base_data.py; resumes from its checkpoint.

    python training/recipes/base_acoustic.py CORPUS OUT --start voices/base/checkpoint --minutes 6 --device cuda \
        --frames 32000 --predict

Training starts from a released voice and uses its statistics of mel, pitch and energy. The aligner of that voice
computes the durations of all clips once, into CORPUS/durations.npy. The embeddings of the symbols, which the aligner
reads too, are not trained. All clips are on the device, in groups of similar length; on a GPU a step of each group is
one CUDA graph.

With --predict the trained model then predicts the mels of the corpus for base_vocoder.py. Durations, pitch and energy
are those of the recording, so that predicted and recorded frames correspond; the decoder reads its own frames, as in
inference.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from base_data import EMOTION_ROWS, SPEAKERS, Recording, iter_recordings
from base_steps import Average, Step, build_optimizer, capture_graph, save_checkpoint, set_learning_rate
from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.finetuning.acoustic_step import build_targets, compute_reconstruction_losses
from kubevoice_training.finetuning.collation import collate
from kubevoice_training.models.layers import sequence_mask
from kubevoice_training.models.sambert import AcousticBatch, Sambert
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights
from torch import Tensor
from torch.nn import functional as F

PASSES = 4
"""Passes of the decoder over a clip. The first reads recorded frames, each later one those of the pass before."""
MAX_LENGTH_RATIO = 1.15
"""Maximum ratio of the longest clip of a group to its shortest."""
MAX_FRAMES = 40_000
"""Frames in a batch that is aligned or predicted."""
WARM_UP_STEPS = 300
LOG_EVERY = 200
SAVE_EVERY = 60.0


def normalize_recording(recording: Recording, stats: Stats, durations: np.ndarray | None = None) -> TrainingClip:
    """Return a recording with its mel normalized by the voice's statistics."""
    return TrainingClip(
        ling=recording.ling,
        emotion=EMOTION_ROWS[recording.row.emotion],
        speaker=SPEAKERS.index(recording.row.speaker),
        mel=((recording.mel.astype(np.float32) - stats.mel_mean) / stats.mel_std).astype(np.float32),
        f0=recording.f0,
        energy=recording.energy,
        durations=durations,
    )


@torch.inference_mode()
def align_durations(path: Path, voice: VoiceWeights, recordings: Sequence[Recording], eos: list[int]) -> np.ndarray:
    """Return the frames of every symbol, clip after clip; the file is read if it fits the corpus, else written."""
    symbols, frames = sum(len(each.ling) for each in recordings), sum(len(each.mel) for each in recordings)
    if path.exists() and len(stored := np.load(path)) == symbols and stored.sum() == frames:
        return np.asarray(stored)
    model, durations_by_clip = voice.acoustic.eval(), dict[int, np.ndarray]()
    order = sorted(range(len(recordings)), key=lambda i: len(recordings[i].mel))
    while order:
        count = max(1, MAX_FRAMES // len(recordings[order[-1]].mel))
        group, order = order[-count:], order[:-count]
        data = collate(
            [normalize_recording(recordings[i], voice.stats) for i in group], eos, model.config.outputs_per_step
        )
        batch, _ = build_targets(model, data, voice.stats)
        for i, durations in zip(group, batch.durations, strict=True):
            durations_by_clip[i] = durations[: len(recordings[i].ling)].numpy().astype(np.int16)
    durations = np.concatenate([durations_by_clip[i] for i in range(len(recordings))])
    np.save(path.with_name("durations.tmp.npy"), durations)
    path.with_name("durations.tmp.npy").replace(path)
    return durations


@dataclass(frozen=True, slots=True)
class Group:
    """Clips of similar length on the device: their numbers in the corpus, and all of them as one batch."""

    numbers: list[int]
    batch: AcousticBatch

    def select(self, places: Tensor, step: int) -> AcousticBatch:
        """Return the clips at `places` [B] in the group as a batch; `step` is the frames of a decoder step."""
        parts: dict[str, Any] = {
            field.name: getattr(self.batch, field.name) for field in dataclasses.fields(AcousticBatch)
        }
        parts = {name: part if part is None else part[places] for name, part in parts.items()}
        batch = AcousticBatch(**parts)
        durations = batch.durations.masked_fill(~sequence_mask(batch.text_lengths, batch.ling.shape[1]), 0)
        batch.band_width = (durations.max() / step + 0.5).long()
        return batch


def group_clips(clips: Sequence[TrainingClip], stats: Stats, model: Sambert, eos: list[int]) -> Iterator[Group]:
    """Yield groups of clips of similar length, on the model's device."""
    order = sorted(range(len(clips)), key=lambda i: len(clips[i].mel))
    device = next(model.parameters()).device
    while order:
        longest = len(clips[order[-1]].mel)
        numbers = [i for i in order if len(clips[i].mel) * MAX_LENGTH_RATIO > longest]
        order = order[: -len(numbers)]
        data = collate([clips[i] for i in numbers], eos, model.config.outputs_per_step)
        yield Group(numbers, build_targets(model, data.to(device), stats)[0])


def iter_batches(groups: Sequence[Group], frames: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield a group's number and the places of a batch in it, without end; each epoch has another order."""
    rng = np.random.default_rng(seed)
    while True:
        batches = []
        for number, group in enumerate(groups):
            clips = len(group.numbers)
            count = min(clips, max(1, frames // group.batch.mel.shape[1]))
            order = rng.permutation(clips)
            order = np.append(order, order[: -clips % count])  # batches of one size need one graph
            batches += [(number, part) for part in order.reshape(-1, count)]
        rng.shuffle(batches)
        yield from batches


def build_step(
    model: Sambert, average: Average, optimizer: torch.optim.Optimizer, group: Group, *, bf16: bool = False
) -> Step:
    """Return a function that makes a training step on clips of a group, given by their places."""
    trainable = [each for each in model.parameters() if each.requires_grad]

    def step(places: Tensor) -> dict[str, Tensor]:
        batch = group.select(places, model.config.outputs_per_step)
        with torch.autocast(places.device.type, torch.bfloat16, enabled=bf16):
            output = model(batch)
        terms = compute_reconstruction_losses(output, batch)
        optimizer.zero_grad()
        torch.stack(terms).sum().backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        average.update_parameters(model)
        return dict(zip(("mel", "duration", "pitch", "energy"), (term.detach() for term in terms), strict=True))

    return step


@torch.inference_mode()
def predict_mels(model: Sambert, batch: AcousticBatch) -> Tensor:
    """Return the mel [B, T, M] that the model predicts with the batch's durations, pitch and energy."""
    r = model.config.outputs_per_step
    mask, frames = (
        sequence_mask(batch.text_lengths, batch.ling.shape[1]),
        sequence_mask(batch.mel_lengths, batch.mel.shape[1]),
    )
    text = model.text_encoder(batch.ling, mask)
    text = model.variance_adaptor.add_pitch_and_energy(text, batch.pitch, batch.energy)
    memory = model.build_memory(text, model.embed_labels(batch.speaker, batch.emotion), batch.durations, frames)
    steps, band = frames[:, ::r].sum(dim=1), cast("Tensor", batch.band_width)
    mels = batch.mel
    for _ in range(PASSES):
        previous = F.pad(mels[:, r - 1 :: r], (0, 0, 1, 0))[:, :-1]
        mels = model.mel_decoder.mel_dec(memory, previous, steps, band)
    mel: Tensor = model.mel_postnet(mels.masked_fill(~frames.unsqueeze(-1), 0.0), frames)
    return mel


def write_predictions(model: Sambert, groups: Sequence[Group], clips: Sequence[TrainingClip], path: Path) -> None:
    """Predict the mel of every clip and write them (normalized, float16) to a file, one after the other."""
    model.eval()
    device, predictions = next(model.parameters()).device, dict[int, np.ndarray]()
    for group in groups:
        places = torch.arange(len(group.numbers), device=device)
        for chosen in places.split(max(1, MAX_FRAMES // group.batch.mel.shape[1])):
            mels = predict_mels(model, group.select(chosen, model.config.outputs_per_step)).half().cpu()
            for place, mel in zip(chosen.tolist(), mels, strict=True):
                number = group.numbers[place]
                predictions[number] = mel[: len(clips[number].mel)].numpy()
    np.save(path.with_name("predicted.tmp.npy"), np.concatenate([predictions[i] for i in range(len(clips))]))
    path.with_name("predicted.tmp.npy").replace(path)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that all trainings of an acoustic model have."""
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=90.0, help="of training in total, with earlier runs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=3600, help="in a batch, with padding")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--dropout", type=float, default=0.1, help="between layers; that of pre-nets stays 0.5")
    parser.add_argument("--bf16", action="store_true", help="compute the network in bfloat16")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--start", type=Path, required=True, help="checkpoint folder of a released voice")
    parser.add_argument("--predict", action="store_true")
    return parser.parse_args()


def copy_with_dropout(voice: Sambert, share: float) -> Sambert:
    """Return a copy with another dropout between layers.

    The dropout of the pre-nets stays: without it the decoder would copy the previous frame.
    """
    copied = Sambert(dataclasses.replace(voice.config, dropout=share))
    copied.load_state_dict(voice.state_dict())
    return copied


def load_training_data(
    corpus: Path, voice: VoiceWeights, device: str, dropout: float
) -> tuple[Sambert, list[TrainingClip], list[Group]]:
    """Return the network to train, all clips, and all clips in groups, on the device."""
    with np.load(corpus / "features.npz") as stored:
        eos = stored["eos"].tolist()
    recordings = list(iter_recordings(corpus))
    durations = align_durations(corpus / "durations.npy", voice, recordings, eos)
    parts = np.split(durations.astype(np.int64), np.cumsum([len(each.ling) for each in recordings])[:-1])
    clips = [normalize_recording(each, voice.stats, part) for each, part in zip(recordings, parts, strict=True)]
    model = copy_with_dropout(voice.acoustic, dropout).train().to(device)
    embeddings = [each for name, each in model.text_encoder.named_children() if name.endswith("_emb")]
    for fixed in (model.align_attention, *embeddings):
        fixed.requires_grad_(requires_grad=False)
    return model, clips, list(group_clips(clips, voice.stats, model, eos))


def train_model(model: Sambert, groups: Sequence[Group], args: argparse.Namespace) -> Sambert:
    """Train until the time is over, from the checkpoint if there is one; return the network with averaged weights.

    The learning rate depends on the share of the time that is over. Without a GPU that is CPU time, so that waiting
    does not count. `args` are those of `add_options`.
    """
    optimizer, average = build_optimizer(model, args.rate, (0.9, 0.98), 1e-4), Average(model)
    checkpoint, step, spent = args.out / "acoustic.pt", 0, 0.0
    stateful: dict[str, Any] = {"model": model, "averaged": average.module, "optimizer": optimizer}
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=args.device, weights_only=True)
        for name, each in stateful.items():
            each.load_state_dict(state[name])
        step, spent = state["step"], state["spent"]

    def save() -> None:
        states = {name: each.state_dict() for name, each in stateful.items()}
        save_checkpoint(checkpoint, states | {"step": step, "spent": spent}, average.module)

    def clock() -> float:
        return time.process_time() / args.threads if args.device == "cpu" else time.monotonic()

    began, saved = clock() - spent, time.monotonic()
    batches, steps, pool = iter_batches(groups, args.frames, step), dict[int, Step](), None
    while args.minutes and (share := spent / (args.minutes * 60)) < 1.0:
        set_learning_rate(
            optimizer, args.rate * min(1.0, (step + 1) / WARM_UP_STEPS) * (0.01 + 0.99 * (1.0 - share) ** 1.5)
        )
        number, places = next(batches)
        chosen = torch.from_numpy(places).to(args.device)
        if number not in steps:
            steps[number] = build_step(model, average, optimizer, groups[number], bf16=args.bf16)
            if args.device != "cpu":
                pool = pool or torch.cuda.graph_pool_handle()
                steps[number] = capture_graph(steps[number], (chosen,), pool)
        losses = steps[number](chosen)
        step += 1
        if step % LOG_EVERY == 0:
            values = {name: round(float(value), 4) for name, value in losses.items()}
            print(step, f"{spent:.0f}s", values, flush=True)
        spent = clock() - began
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            save()
    save()
    return cast("Sambert", average.module)


def main() -> None:
    """Read the corpus, train, and predict its mels if --predict is given."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    args.out.mkdir(parents=True, exist_ok=True)
    model, clips, groups = load_training_data(args.corpus, load_weights(args.start), args.device, args.dropout)
    print(f"{len(clips)} clips in {len(groups)} groups", flush=True)
    average = train_model(model, groups, args)
    if args.predict:
        write_predictions(average, groups, clips, args.corpus / "predicted.npy")


if __name__ == "__main__":
    main()
