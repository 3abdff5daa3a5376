"""The base voice's corpus as its networks read it: clips.json, features.npz and audio/ that base_corpus.py wrote.

    python training/recipes/base_data.py CORPUS --processes 16

decodes all audio once and leaves waves and mels beside it, so that both networks start at once. Speakers and emotions
have their rows in the embedding tables here.
"""

import argparse
import csv
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process a core already, and sixteen of them wait for each other

import numpy as np
from kubevoice.audio.mel import MelConfig, magnitude, range_normalize
from kubevoice_training.features.acoustic_features import load_audio, trim_silence

MEL = MelConfig()
STREAMS = ("sy", "tone", "syllable_flag", "word_segment")
SPEAKERS = ("hsk", "zf_xiaobei", "zf_xiaoxiao", "zf_xiaoyi", "zm_yunjian", "zm_yunxi", "zm_yunxia", "zm_yunyang")
EMOTION_ROWS = {
    "neutral": 1,
    "angry": 2,
    "happy": 5,
    "sad": 6,
    "calm": 8,
    "serious": 12,
    "polite": 24,
    "narrative": 25,
    "encouraging": 26,
    "urgent": 27,
}
"""Rows of ModelScope's emotion table; styles that it has no name for take its placeholders."""
DECODED, PACKED = "decoded", "packed"


def texts(name: str) -> set[str]:
    """Return the texts of a list beside this file."""
    with Path(__file__).with_name(name).open(encoding="utf-8") as file:
        return {row["text"] for row in csv.DictReader(file)}


@dataclass(frozen=True, slots=True)
class Row:
    """One clip: who says what in which emotion, its file below audio/, and what its samples are multiplied by."""

    id: str
    text: str
    speaker: str
    emotion: str
    audio: str
    gain: float = 1.0


@dataclass(frozen=True, slots=True)
class Recording:
    """One clip as the networks read it.

    ling [N, 4] ids, wave [S] (int16), mel [T, M] (not normalised), f0 [T] in Hz, energy [T].
    """

    row: Row
    ling: np.ndarray
    wave: np.ndarray
    mel: np.ndarray
    f0: np.ndarray
    energy: np.ndarray


def read_audio(corpus: Path, row: Row) -> np.ndarray:
    """Decode a clip, cut its silence off and level it: float32 samples at the voice's rate."""
    wav = trim_silence(load_audio(corpus / "audio" / row.audio, MEL.sample_rate), MEL.sample_rate)
    return np.asarray(np.clip(wav * np.float32(row.gain), -0.99, 0.99), np.float32)


def _decode(corpus: Path, row: Row) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    wav = read_audio(corpus, row)
    amplitude = magnitude(wav, MEL)
    mel = range_normalize(amplitude @ MEL.filters.T, MEL).astype(np.float16)
    return (wav * 32767.0).astype(np.int16), mel, np.linalg.norm(amplitude, axis=1).astype(np.float32)


def decode(corpus: Path, processes: int) -> None:
    """Decode every clip; write waves, mels and energies."""
    rows = [Row(**fields) for fields in json.loads((corpus / "clips.json").read_text(encoding="utf-8"))]
    with ProcessPoolExecutor(processes) as pool:
        waves, mels, energies = zip(*pool.map(partial(_decode, corpus), rows, chunksize=16), strict=True)
    folder = corpus / DECODED
    folder.mkdir(exist_ok=True)
    np.save(folder / "samples.npy", np.array([len(wave) for wave in waves]))
    for name, parts in (("wave", waves), ("mel", mels), ("energy", energies)):
        np.save(folder / f"{name}.npy", np.concatenate(parts))


def recordings(corpus: Path) -> Iterator[Recording]:
    """Yield every clip of a corpus that `decode` has decoded; the arrays lie in mapped files."""
    rows = [Row(**fields) for fields in json.loads((corpus / "clips.json").read_text(encoding="utf-8"))]
    samples, wave, mel, energy = (
        np.load(corpus / DECODED / f"{name}.npy", mmap_mode="r") for name in ("samples", "wave", "mel", "energy")
    )
    with np.load(corpus / "features.npz") as stored:
        symbols, ling, frames, f0 = (stored[name] for name in ("symbols", "ling", "frames", "f0"))

    def parts(array: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        return np.split(array, np.cumsum(lengths)[:-1])

    for row, each_ling, each_wave, each_mel, each_f0, each_energy in zip(
        rows,
        parts(ling, symbols),
        parts(wave, samples),
        parts(mel, frames),
        parts(f0, frames),
        parts(energy, frames),
        strict=True,
    ):
        yield Recording(row, each_ling.astype(np.int64), each_wave, each_mel, each_f0.astype(np.float32), each_energy)


def main() -> None:
    """Decode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    decode(args.corpus, args.processes)
    print(sum(len(each.mel) for each in recordings(args.corpus)), "frames")


if __name__ == "__main__":
    main()
