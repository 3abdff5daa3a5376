"""Compute the features of teacher_corpus.py's corpus for the acoustic model; a later run adds new clips.

    python training/recipes/teacher_features.py CORPUS OUT --teacher teacher/lib/python3.11/site-packages

OUT gets shards of up to 256 clips: features-NUMBER.npz with each clip's units, durations, mel, F0 and energy, and
rows-NUMBER.json with its text, speaker and emotion. The mel is that of HiFi-GAN's universal generator, which was
trained at 22,050 Hz and is used at 24,000, in steps of half a decibel. Durations come from the teacher: it returns the
duration of each of its phones in steps of 25 ms, and each of our units corresponds to some of its phones.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from acted_teacher import Speller
from base_data import STREAMS
from base_sentences import SAMPLE_RATE
from corpus_coverage import read_index_lines
from kubevoice.audio.mel import MelConfig
from kubevoice.text import UnitTables, analyse
from kubevoice_training.features.acoustic_features import extract_features, load_audio
from spoken_texts import FRONT_END

MEL = MelConfig(hop_length=256, fmin=0.0, min_level_db=-120.0, filter_rate=22050)
TOKEN_SAMPLES = 600
"""Samples of one step of the teacher's durations."""
ADVANCE_SAMPLES = 1150
"""Samples by which the audio is ahead of the teacher's durations, measured at fricatives and pauses."""
SHARD_CLIPS = 256
MEL_STEPS = 240
"""Steps of the mel's range [0, 1] in a shard."""
INITIAL_SHARE = 0.25
"""Share of the initial in a syllable that the teacher spells without one."""


@dataclass(frozen=True, slots=True)
class ClipFeatures:
    """Features of a clip of N units and T frames.

    Attributes
    ----------
    ling : ids [N, 4]
    durations : frames [N]; their sum is T
    mel : [T, 80] in [0, 1]
    f0 : [T] in Hz, 0 where unvoiced
    energy : [T]
    power : sum of the squares of the samples
    samples : their number
    """

    ling: np.ndarray
    durations: np.ndarray
    mel: np.ndarray
    f0: np.ndarray
    energy: np.ndarray
    power: float
    samples: int


def compute_unit_durations(
    owners: Sequence[int], token_frames: Sequence[int], lead: int, start: int, silent: Sequence[bool], frames: int
) -> np.ndarray:
    """Compute the durations of units from those of the teacher's phones.

    Parameters
    ----------
    owners : the unit of each of the teacher's phones, in ascending order
    token_frames : duration of each phone, in steps of 600 samples
    lead : steps before the first phone
    start : samples that were trimmed before the clip
    silent : whether each unit is a prosodic boundary, which may have no frame
    frames : number of frames of the clip

    Returns
    -------
    np.ndarray
        Frames of each unit; they sum to `frames`.
    """
    ends = np.zeros(len(silent))
    for owner, end in zip(
        owners, (lead + np.cumsum(token_frames)) * TOKEN_SAMPLES - start - ADVANCE_SAMPLES, strict=True
    ):
        ends[owner] = end
    ends = np.maximum.accumulate(ends) / MEL.hop_length
    starts = np.concatenate([[0.0], ends[:-1]])
    spelled_units = set(owners)
    for unit in range(len(silent) - 1):
        if unit not in spelled_units and not silent[unit]:
            ends[unit] = starts[unit] + INITIAL_SHARE * (ends[unit + 1] - starts[unit])
    edges = np.clip(np.round(ends), 0, frames).astype(int)
    edges[-1] = frames
    durations = np.diff(np.concatenate([[0], edges]))
    for unit in map(int, np.flatnonzero((durations == 0) & ~np.asarray(silent))):
        neighbours = [n for n in (unit - 1, unit + 1) if 0 <= n < len(durations)]
        neighbour = max(neighbours, key=lambda n: durations[n])
        if durations[neighbour] > 1:
            durations[neighbour] -= 1
            durations[unit] = 1
    return durations


def analyse_clip(corpus: Path, line: dict[str, Any], speller: Speller) -> ClipFeatures | None:
    """Return a clip's features; None if the front end now spells its text differently."""
    analysis = analyse(line["text"], FRONT_END)
    phones = speller.spell(analysis)
    if "".join(phone for phone, _ in phones) != line["tokens"]:
        return None
    units = [unit for sentence in analysis.sentences for unit in sentence.units]
    ids = UnitTables.load().encode(units)
    wav = load_audio(corpus / "wavs" / f"{line['id']}.flac", SAMPLE_RATE)
    features = extract_features(wav, MEL)
    silent = [unit.sy.startswith("#") for unit in units]
    owners = [owner for _, owner in phones]
    return ClipFeatures(
        ling=np.stack([ids[stream] for stream in STREAMS], axis=1),
        durations=compute_unit_durations(
            owners, line["frames"], line["lead"], line["start"], silent, len(features.mel)
        ),
        mel=features.mel,
        f0=features.f0,
        energy=features.energy,
        power=float(np.square(wav, dtype=np.float64).sum()),
        samples=len(wav),
    )


def write_shard(out: Path, number: int, clips: Sequence[tuple[dict[str, Any], ClipFeatures]]) -> None:
    """Write a shard. The rows are written last, because they mark the shard as complete."""
    rows = [
        {name: line[name] for name in ("id", "text", "kind", "speaker", "emotion")}
        | {"power": clip.power, "samples": clip.samples}
        for line, clip in clips
    ]
    arrays = {
        "symbols": np.array([len(clip.ling) for _, clip in clips]),
        "frames": np.array([len(clip.mel) for _, clip in clips]),
        "ling": np.concatenate([clip.ling for _, clip in clips]).astype(np.int16),
        "durations": np.concatenate([clip.durations for _, clip in clips]).astype(np.int16),
        "mel": np.concatenate([np.round(clip.mel * MEL_STEPS) for _, clip in clips]).astype(np.uint8),
        "f0": np.concatenate([clip.f0 for _, clip in clips]).astype(np.float16),
        "energy": np.concatenate([clip.energy for _, clip in clips]).astype(np.float32),
    }
    scratch = out / "scratch.npz"
    np.savez_compressed(scratch, **arrays)  # type: ignore[arg-type]  # the stub takes names for its flags
    scratch.replace(out / f"features-{number:04}.npz")
    scratch.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    scratch.replace(out / f"rows-{number:04}.json")


def read_shards(folder: Path) -> Iterator[tuple[dict[str, Any], ClipFeatures]]:
    """Yield every clip and its row."""
    for path in sorted(folder.glob("rows-*.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        with np.load(folder / path.name.replace("rows", "features").replace("json", "npz")) as stored:
            arrays = {name: stored[name] for name in stored.files}
        symbols, frames = (np.cumsum(arrays[name])[:-1] for name in ("symbols", "frames"))
        parts = [np.split(arrays[name], symbols) for name in ("ling", "durations")]
        parts += [np.split(arrays[name], frames) for name in ("mel", "f0", "energy")]
        for row, ling, durations, mel, f0, energy in zip(rows, *parts, strict=True):
            yield (
                row,
                ClipFeatures(
                    ling.astype(np.int64),
                    durations.astype(np.int64),
                    mel.astype(np.float32) / MEL_STEPS,
                    f0.astype(np.float32),
                    energy,
                    row["power"],
                    row["samples"],
                ),
            )


def main() -> None:
    """Compute the features of new clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    paths = sorted(args.out.glob("rows-*.json"))
    existing = {row["id"] for path in paths for row in json.loads(path.read_text(encoding="utf-8"))}
    lines = [line for line in read_index_lines(args.corpus) if line["id"] not in existing]
    speller, number, clips, left_out = Speller(args.teacher), len(paths), list[tuple[dict[str, Any], ClipFeatures]](), 0
    for line in lines:
        if (clip := analyse_clip(args.corpus, line, speller)) is None:
            left_out += 1
            continue
        clips.append((line, clip))
        if len(clips) == SHARD_CLIPS or line is lines[-1]:
            write_shard(args.out, number, clips)
            number, clips = number + 1, []
            print(f"{number} shards", flush=True)
    if clips:
        write_shard(args.out, number, clips)
    print(f"{len(existing) + len(lines) - left_out} clips, {left_out} left out of {len(lines)} new ones")


if __name__ == "__main__":
    main()
