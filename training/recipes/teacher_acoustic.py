"""Train a new base voice's acoustic model on the features of teacher_features.py; resumes from its checkpoint.

    python training/recipes/teacher_acoustic.py FEATURES OUT --minutes 600
    python training/recipes/teacher_acoustic.py FEATURES OUT --minutes 12 --device cuda --frames 32000 --bf16

The network has ModelScope's sizes (12.3 M parameters). It is trained from random weights, with the teacher's durations;
its aligner is not trained. On a GPU a step is one CUDA graph. Every 40th clip is held out. OUT gets acoustic.pt,
packed/acoustic.pt (the averaged weights in float16) and labels.json, which measure_acoustic.py needs.
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
from base_acoustic import add_options, group_clips, train_model
from base_data import EMOTION_ROWS, STREAMS
from kubevoice.text import UnitTables
from kubevoice_training.features.acoustic_features import Features, Stats, measure_stats
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.sambert import Sambert
from teacher_features import MEL, ClipFeatures, read_shards

SPEAKERS = (*MANDARIN, *MIXED)
TARGET_RMS = 0.08
HELD_OUT_EVERY = 40
LABELS = "labels.json"


@dataclass(frozen=True, slots=True)
class Item:
    """A clip of the corpus, scaled by its speaker's gain."""

    id: str
    text: str
    speaker: str
    emotion: str
    features: ClipFeatures

    @property
    def held_out(self) -> bool:
        """Whether the clip is not trained on."""
        return int(self.id[1:]) % HELD_OUT_EVERY == 0


def build_config(dropout: float = 0.1) -> SambertConfig:
    """Return the reference's sizes, with three rows more than speakers, as in the reference."""
    return SambertConfig(speakers=len(SPEAKERS) + 3, dropout=dropout)


def read_items(folder: Path) -> list[Item]:
    """Return all clips, scaled by a gain for each speaker that gives neutral clips the same RMS level."""
    clips = list(read_shards(folder))
    sums: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for row, _ in clips:
        if row["emotion"] == "neutral":
            sums[row["speaker"]] += (row["power"], row["samples"])
    gains = {speaker: float(TARGET_RMS / (power / samples) ** 0.5) for speaker, (power, samples) in sums.items()}
    return [
        Item(row["id"], row["text"], row["speaker"], row["emotion"], scale_clip(clip, gains.get(row["speaker"], 1.0)))
        for row, clip in clips
    ]


def scale_clip(clip: ClipFeatures, gain: float) -> ClipFeatures:
    """Return the features of a clip whose samples are multiplied by `gain`."""
    mel = np.clip(clip.mel + np.float32(20.0 * np.log10(gain) / -MEL.min_level_db), 0.0, 1.0)
    return replace(clip, mel=mel, energy=clip.energy * np.float32(gain))


def measure_item_stats(items: Sequence[Item]) -> Stats:
    """Return the feature statistics of clips."""
    return measure_stats([Features(item.features.mel, item.features.f0, item.features.energy) for item in items])


def normalize_item(item: Item, stats: Stats) -> TrainingClip:
    """Return a clip with its mel normalized by `stats`."""
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


def get_end_ids() -> list[int]:
    """Return the ids of the end of a text, one for each stream of units."""
    return [UnitTables.load().eos[stream] for stream in STREAMS]


def read_labels(out: Path) -> tuple[Stats, SambertConfig]:
    """Return the feature statistics and the network sizes of a training."""
    labels: dict[str, Any] = json.loads((out / LABELS).read_text(encoding="utf-8"))
    config: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in labels["config"].items()
    }
    return Stats.from_json(labels["stats"]), SambertConfig(**config)


def _to_json(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def main() -> None:
    """Train; a run that is resumed uses the statistics of its first run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    items = [item for item in read_items(args.corpus) if not item.held_out]
    if not (args.out / LABELS).exists():
        stats_json = {name: _to_json(value) for name, value in asdict(measure_item_stats(items)).items()}
        labels = {"stats": stats_json, "config": asdict(build_config(args.dropout)), "speakers": SPEAKERS}
        (args.out / LABELS).write_text(json.dumps(labels), encoding="utf-8")
    stats, config = read_labels(args.out)
    model = Sambert(config).train().to(args.device)
    model.align_attention.requires_grad_(requires_grad=False)
    groups = list(group_clips([normalize_item(item, stats) for item in items], stats, model, get_end_ids()))
    print(f"{len(items)} clips in {len(groups)} groups", flush=True)
    train_model(model, groups, args)


if __name__ == "__main__":
    main()
