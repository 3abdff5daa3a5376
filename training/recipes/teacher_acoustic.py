"""Train a new base voice's acoustic model on what teacher_features.py wrote; resumes from its checkpoint.

    python training/recipes/teacher_acoustic.py FEATURES OUT --minutes 600
    python training/recipes/teacher_acoustic.py FEATURES OUT --minutes 12 --device cuda --frames 32000 --bf16

The network has ModelScope's sizes (12.3 M parameters). It learns from the beginning, with the durations that the
teacher tells; its aligner is not among what is learned here. On a GPU a step is one CUDA graph. Every 40th clip is
held out. OUT gets acoustic.pt, packed/acoustic.pt (the averaged weights in float16) and labels.json, which
measure_acoustic.py needs.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from acted_teacher import MANDARIN, MIXED
from base_acoustic import add_options, grouped, teach
from base_data import EMOTION_ROWS, STREAMS
from kubevoice.text import UnitTables
from kubevoice_training.features.acoustic_features import Features, Stats, measure_stats
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.sambert import Sambert
from teacher_features import MEL, ClipFeatures, read_shards

SPEAKERS = (*MANDARIN, *MIXED)
TARGET_RMS = 0.08
HELD_OUT = 40
LABELS = "labels.json"


@dataclass(frozen=True, slots=True)
class Item:
    """A clip of the corpus at its speaker's level."""

    id: str
    text: str
    speaker: str
    emotion: str
    features: ClipFeatures

    @property
    def held_out(self) -> bool:
        """Whether it is not learned from."""
        return int(self.id[1:]) % HELD_OUT == 0


def model_config(dropout: float = 0.1) -> SambertConfig:
    """Return the sizes: the reference's, and three rows of speakers more as it has them."""
    return SambertConfig(speakers=len(SPEAKERS) + 3, dropout=dropout)


def read_items(folder: Path) -> list[Item]:
    """Return all clips; each speaker's neutral ones are made equally loud, and the others by as much."""
    stored = list(read_shards(folder))
    sums: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for row, _ in stored:
        if row["emotion"] == "neutral":
            sums[row["speaker"]] += (row["power"], row["samples"])
    gains = {speaker: float(TARGET_RMS / (power / samples) ** 0.5) for speaker, (power, samples) in sums.items()}
    return [
        Item(row["id"], row["text"], row["speaker"], row["emotion"], at_level(clip, gains.get(row["speaker"], 1.0)))
        for row, clip in stored
    ]


def at_level(clip: ClipFeatures, gain: float) -> ClipFeatures:
    """Return the features of a clip whose samples are multiplied by `gain`."""
    mel = np.clip(clip.mel + np.float32(20.0 * np.log10(gain) / -MEL.min_level_db), 0.0, 1.0)
    return replace(clip, mel=mel, energy=clip.energy * np.float32(gain))


def stats_of(items: Sequence[Item]) -> Stats:
    """Return what the features of clips are normalised by."""
    return measure_stats([Features(item.features.mel, item.features.f0, item.features.energy) for item in items])


def training_clip(item: Item, stats: Stats) -> TrainingClip:
    """Normalise a clip as the network reads it."""
    clip = item.features
    return TrainingClip(
        ling=clip.ling,
        emotion=EMOTION_ROWS[item.emotion],
        speaker=SPEAKERS.index(item.speaker),
        mel=((clip.mel - stats.mel_mean) / stats.mel_std).astype(np.float32),
        f0=clip.f0,
        energy=clip.energy,
        durations=clip.durations,
    )


def end_ids() -> list[int]:
    """Return the ids that end a text, one for each stream of units."""
    return [UnitTables.load().eos[stream] for stream in STREAMS]


def read_labels(out: Path) -> tuple[Stats, SambertConfig]:
    """Return what a training's features are normalised by, and the sizes of its network."""
    labels: dict[str, Any] = json.loads((out / LABELS).read_text(encoding="utf-8"))
    config: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in labels["config"].items()
    }
    return Stats.from_json(labels["stats"]), SambertConfig(**config)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def main() -> None:
    """Train; a run that goes on keeps the statistics that it began with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    items = [item for item in read_items(args.corpus) if not item.held_out]
    if not (args.out / LABELS).exists():
        plain = {name: _plain(value) for name, value in asdict(stats_of(items)).items()}
        labels = {"stats": plain, "config": asdict(model_config(args.dropout)), "speakers": SPEAKERS}
        (args.out / LABELS).write_text(json.dumps(labels), encoding="utf-8")
    stats, config = read_labels(args.out)
    model = Sambert(config).train().to(args.device)
    model.align_attention.requires_grad_(requires_grad=False)
    groups = list(grouped([training_clip(item, stats) for item in items], stats, model, end_ids()))
    print(f"{len(items)} clips in {len(groups)} groups", flush=True)
    teach(model, groups, args)


if __name__ == "__main__":
    main()
