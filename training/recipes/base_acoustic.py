"""Train the base voice's acoustic model on the corpus of base_corpus.py and base_data.py; resumes from its checkpoint.

    python training/recipes/base_acoustic.py CORPUS OUT --start voices/base/checkpoint --minutes 6 --device cuda \
        --frames 32000 --predict

It goes on from a released voice, whose mel space, pitch, energy and alignment it keeps: that voice's aligner gives
every clip its durations once, into CORPUS/durations.npy, and the symbols' embeddings, which the aligner reads too, stay
as they are. All clips lie on the device, in groups of similar length; on a GPU a step of each group is one CUDA graph.

With --predict it ends by saying its corpus again, frame by frame in step with the recordings, for base_vocoder.py to
learn from: durations, pitch and energy are the recording's own; the mel is decoded from the model's own frames as at
work.
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
from base_data import EMOTION_ROWS, SPEAKERS, Recording, recordings
from base_steps import Average, Step, adam, captured, keep, set_rate
from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.finetuning.acoustic_step import build_targets, compute_reconstruction_losses
from kubevoice_training.finetuning.collation import collate
from kubevoice_training.models.layers import sequence_mask
from kubevoice_training.models.sambert import AcousticBatch, Sambert
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights
from torch import Tensor
from torch.nn import functional as F

ROUNDS = 4
"""Passes in which the decoder's input frames are replaced by what it said in the last pass, from its own mel on."""
WIDER = 1.15
"""How much longer the longest clip of a group may be than its shortest."""
AT_ONCE = 40_000
"""Frames that are aligned or said together."""
WARM_UP = 300
LOOK_EVERY = 200
SAVE_EVERY = 60.0


def clip(recording: Recording, stats: Stats, durations: np.ndarray | None = None) -> TrainingClip:
    """Normalise a recording as the voice reads it."""
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
def found_durations(path: Path, voice: VoiceWeights, everything: Sequence[Recording], eos: list[int]) -> np.ndarray:
    """Return every symbol's frames, one clip after the other; what is found is kept in the file for this corpus."""
    symbols, frames = sum(len(each.ling) for each in everything), sum(len(each.mel) for each in everything)
    if path.exists() and len(kept := np.load(path)) == symbols and kept.sum() == frames:
        return np.asarray(kept)
    model, found = voice.acoustic.eval(), dict[int, np.ndarray]()
    order = sorted(range(len(everything)), key=lambda i: len(everything[i].mel))
    while order:
        count = max(1, AT_ONCE // len(everything[order[-1]].mel))
        group, order = order[-count:], order[:-count]
        data = collate([clip(everything[i], voice.stats) for i in group], eos, model.config.outputs_per_step)
        batch, _ = build_targets(model, data, voice.stats)
        for i, durations in zip(group, batch.durations, strict=True):
            found[i] = durations[: len(everything[i].ling)].numpy().astype(np.int16)
    durations = np.concatenate([found[i] for i in range(len(everything))])
    np.save(path.with_name("durations.tmp.npy"), durations)
    path.with_name("durations.tmp.npy").replace(path)
    return durations


@dataclass(frozen=True, slots=True)
class Group:
    """Clips of similar length on the device: their numbers in the corpus and all of them as one batch."""

    numbers: list[int]
    batch: AcousticBatch

    def take(self, chosen: Tensor, step: int) -> AcousticBatch:
        """Return some of the clips, by their places in the group, as a batch."""
        parts: dict[str, Any] = {
            field.name: getattr(self.batch, field.name) for field in dataclasses.fields(AcousticBatch)
        }
        parts = {name: part if part is None else part[chosen] for name, part in parts.items()}
        taken = AcousticBatch(**parts)
        spoken = taken.durations.masked_fill(~sequence_mask(taken.text_lengths, taken.ling.shape[1]), 0)
        taken.band_width = (spoken.max() / step + 0.5).long()
        return taken


def grouped(clips: Sequence[TrainingClip], stats: Stats, model: Sambert, eos: list[int]) -> Iterator[Group]:
    """Put clips of similar length together on the model's device."""
    order = sorted(range(len(clips)), key=lambda i: len(clips[i].mel))
    device = next(model.parameters()).device
    while order:
        longest = len(clips[order[-1]].mel)
        numbers = [i for i in order if len(clips[i].mel) * WIDER > longest]
        order = order[: -len(numbers)]
        data = collate([clips[i] for i in numbers], eos, model.config.outputs_per_step)
        yield Group(numbers, build_targets(model, data.to(device), stats)[0])


def epochs(groups: Sequence[Group], frames: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield a group's number and which of its clips make a batch, for ever; each epoch is shuffled anew."""
    rng = np.random.default_rng(seed)
    while True:
        made = []
        for number, group in enumerate(groups):
            clips = len(group.numbers)
            count = min(clips, max(1, frames // group.batch.mel.shape[1]))
            order = rng.permutation(clips)
            order = np.append(order, order[: -clips % count])  # a batch of another size would be another graph
            made += [(number, part) for part in order.reshape(-1, count)]
        rng.shuffle(made)
        yield from made


def plain_step(
    model: Sambert, average: Average, optimizer: torch.optim.Optimizer, group: Group, *, bf16: bool = False
) -> Step:
    """Return a function that makes one step on clips of a group."""
    taught = [each for each in model.parameters() if each.requires_grad]

    def step(chosen: Tensor) -> dict[str, Tensor]:
        batch = group.take(chosen, model.config.outputs_per_step)
        with torch.autocast(chosen.device.type, torch.bfloat16, enabled=bf16):
            output = model(batch)
        terms = compute_reconstruction_losses(output, batch)
        optimizer.zero_grad()
        torch.stack(terms).sum().backward()
        torch.nn.utils.clip_grad_norm_(taught, 1.0)
        optimizer.step()
        average.update_parameters(model)
        return dict(zip(("mel", "duration", "pitch", "energy"), (term.detach() for term in terms), strict=True))

    return step


@torch.inference_mode()
def predict(model: Sambert, batch: AcousticBatch) -> Tensor:
    """Return the mel [B, T, M] that the model says along the batch's durations, pitch and energy."""
    r = model.config.outputs_per_step
    mask, frames = (
        sequence_mask(batch.text_lengths, batch.ling.shape[1]),
        sequence_mask(batch.mel_lengths, batch.mel.shape[1]),
    )
    text = model.text_encoder(batch.ling, mask)
    text = model.variance_adaptor.add_pitch_and_energy(text, batch.pitch, batch.energy)
    memory = model.build_memory(text, model.embed_labels(batch.speaker, batch.emotion), batch.durations, frames)
    steps, band = frames[:, ::r].sum(dim=1), cast("Tensor", batch.band_width)
    spoken = batch.mel
    for _ in range(ROUNDS):
        previous = F.pad(spoken[:, r - 1 :: r], (0, 0, 1, 0))[:, :-1]
        spoken = model.mel_decoder.mel_dec(memory, previous, steps, band)
    mel: Tensor = model.mel_postnet(spoken.masked_fill(~frames.unsqueeze(-1), 0.0), frames)
    return mel


def predict_all(model: Sambert, groups: Sequence[Group], clips: Sequence[TrainingClip], path: Path) -> None:
    """Say every clip again; the file gets the mels (normalised, float16) one after the other."""
    model.eval()
    device, said = next(model.parameters()).device, dict[int, np.ndarray]()
    for group in groups:
        places = torch.arange(len(group.numbers), device=device)
        for chosen in places.split(max(1, AT_ONCE // group.batch.mel.shape[1])):
            mels = predict(model, group.take(chosen, model.config.outputs_per_step)).half().cpu()
            for place, mel in zip(chosen.tolist(), mels, strict=True):
                number = group.numbers[place]
                said[number] = mel[: len(clips[number].mel)].numpy()
    np.save(path.with_name("predicted.tmp.npy"), np.concatenate([said[i] for i in range(len(clips))]))
    path.with_name("predicted.tmp.npy").replace(path)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what every training of an acoustic model is told."""
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=90.0, help="of training in all, earlier runs counted")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=3600, help="in a batch, padding counted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--dropout", type=float, default=0.1, help="between layers; pre-nets keep their half")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16 where that does no harm")


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--start", type=Path, required=True, help="checkpoint folder of a released voice")
    parser.add_argument("--predict", action="store_true")
    return parser.parse_args()


def dropping(voice: Sambert, share: float) -> Sambert:
    """Return a copy that drops that share between layers; its pre-nets, lest the decoder copies frames, keep theirs."""
    other = Sambert(dataclasses.replace(voice.config, dropout=share))
    other.load_state_dict(voice.state_dict())
    return other


def read(
    corpus: Path, voice: VoiceWeights, device: str, dropout: float
) -> tuple[Sambert, list[TrainingClip], list[Group]]:
    """Return the network to teach, every clip, and all of them in groups, on the device."""
    with np.load(corpus / "features.npz") as stored:
        eos = stored["eos"].tolist()
    everything = list(recordings(corpus))
    durations = found_durations(corpus / "durations.npy", voice, everything, eos)
    parts = np.split(durations.astype(np.int64), np.cumsum([len(each.ling) for each in everything])[:-1])
    clips = [clip(each, voice.stats, part) for each, part in zip(everything, parts, strict=True)]
    model = dropping(voice.acoustic, dropout).train().to(device)
    embeddings = [each for name, each in model.text_encoder.named_children() if name.endswith("_emb")]
    for fixed in (model.align_attention, *embeddings):
        fixed.requires_grad_(requires_grad=False)
    return model, clips, list(grouped(clips, voice.stats, model, eos))


def teach(model: Sambert, groups: Sequence[Group], args: argparse.Namespace) -> Sambert:
    """Train until the time is over, going on from a checkpoint; return the average of the weights.

    The rate falls with the share of the time spent. Without a GPU that is time of a core, so that it stands still while
    the process is suspended or waits. `args` are those of `add_options`.
    """
    optimizer, average = adam(model, args.rate, (0.9, 0.98), 1e-4), Average(model)
    checkpoint, step, spent = args.out / "acoustic.pt", 0, 0.0
    parties: dict[str, Any] = {"model": model, "averaged": average.module, "optimizer": optimizer}
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=args.device, weights_only=True)
        for name, party in parties.items():
            party.load_state_dict(state[name])
        step, spent = state["step"], state["spent"]

    def save() -> None:
        states = {name: party.state_dict() for name, party in parties.items()}
        keep(checkpoint, states | {"step": step, "spent": spent}, average.module)

    def clock() -> float:
        return time.process_time() / args.threads if args.device == "cpu" else time.monotonic()

    began, saved = clock() - spent, time.monotonic()
    batches, steps, pool = epochs(groups, args.frames, step), dict[int, Step](), None
    while args.minutes and (share := spent / (args.minutes * 60)) < 1.0:
        set_rate(optimizer, args.rate * min(1.0, (step + 1) / WARM_UP) * (0.01 + 0.99 * (1.0 - share) ** 1.5))
        number, places = next(batches)
        chosen = torch.from_numpy(places).to(args.device)
        if number not in steps:
            steps[number] = plain_step(model, average, optimizer, groups[number], bf16=args.bf16)
            if args.device != "cpu":
                pool = pool or torch.cuda.graph_pool_handle()
                steps[number] = captured(steps[number], (chosen,), pool)
        figures = steps[number](chosen)
        step += 1
        if step % LOOK_EVERY == 0:
            shown = {name: round(float(value), 4) for name, value in figures.items()}
            print(step, f"{spent:.0f}s", shown, flush=True)
        spent = clock() - began
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            save()
    save()
    return cast("Sambert", average.module)


def main() -> None:
    """Read the corpus, train, and say it again if asked to."""
    args = options()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    args.out.mkdir(parents=True, exist_ok=True)
    model, clips, groups = read(args.corpus, load_weights(args.start), args.device, args.dropout)
    print(f"{len(clips)} clips in {len(groups)} groups", flush=True)
    averaged = teach(model, groups, args)
    if args.predict:
        predict_all(averaged, groups, clips, args.corpus / "predicted.npy")


if __name__ == "__main__":
    main()
