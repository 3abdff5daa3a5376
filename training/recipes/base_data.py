"""Read the base voice's corpus: clips.json, features.npz and audio/, which base_corpus.py wrote.

    python training/recipes/base_data.py CORPUS --processes 16

decodes all audio once and writes waves and mels beside it, for the training of both networks. This module also maps
speakers and emotions to rows of the embedding tables.
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

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # there is a process for each core already

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
"""Rows of ModelScope's emotion table. Styles without a name there use its placeholder rows."""
DECODED, PACKED = "decoded", "packed"


def read_texts(name: str) -> set[str]:
    """Return the texts of a CSV file beside this one."""
    with Path(__file__).with_name(name).open(encoding="utf-8") as file:
        return {row["text"] for row in csv.DictReader(file)}


@dataclass(frozen=True, slots=True)
class Row:
    """A clip of clips.json.

    Attributes
    ----------
    audio
        File name in the folder audio/.
    gain
        Factor of the samples.
    """

    id: str
    text: str
    speaker: str
    emotion: str
    audio: str
    gain: float = 1.0


@dataclass(frozen=True, slots=True)
class Recording:
    """A clip as the networks read it.

    Attributes
    ----------
    row
        Its labels.
    ling
        Ids [N, 4].
    wave
        Samples [S], int16.
    mel
        [T, M], not normalised.
    f0
        [T] in Hz.
    energy
        [T].
    """

    row: Row
    ling: np.ndarray
    wave: np.ndarray
    mel: np.ndarray
    f0: np.ndarray
    energy: np.ndarray


def read_audio(corpus: Path, row: Row) -> np.ndarray:
    """Return a clip without the silence around it and with its gain applied: float32 [S] at the voice's sample rate."""
    wav = trim_silence(load_audio(corpus / "audio" / row.audio, MEL.sample_rate), MEL.sample_rate)
    return np.asarray(np.clip(wav * np.float32(row.gain), -0.99, 0.99), np.float32)


def _decode_clip(corpus: Path, row: Row) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    wav = read_audio(corpus, row)
    amplitude = magnitude(wav, MEL)
    mel = range_normalize(amplitude @ MEL.filters.T, MEL).astype(np.float16)
    return (wav * 32767.0).astype(np.int16), mel, np.linalg.norm(amplitude, axis=1).astype(np.float32)


def decode_corpus(corpus: Path, processes: int) -> None:
    """Decode every clip and write waves, mels and energies."""
    rows = [Row(**fields) for fields in json.loads((corpus / "clips.json").read_text(encoding="utf-8"))]
    with ProcessPoolExecutor(processes) as pool:
        waves, mels, energies = zip(*pool.map(partial(_decode_clip, corpus), rows, chunksize=16), strict=True)
    folder = corpus / DECODED
    folder.mkdir(exist_ok=True)
    np.save(folder / "samples.npy", np.array([len(wave) for wave in waves]))
    for name, arrays in (("wave", waves), ("mel", mels), ("energy", energies)):
        np.save(folder / f"{name}.npy", np.concatenate(arrays))


def iter_recordings(corpus: Path) -> Iterator[Recording]:
    """Yield every clip of a decoded corpus; the arrays are memory maps."""
    rows = [Row(**fields) for fields in json.loads((corpus / "clips.json").read_text(encoding="utf-8"))]
    samples, wave, mel, energy = (
        np.load(corpus / DECODED / f"{name}.npy", mmap_mode="r") for name in ("samples", "wave", "mel", "energy")
    )
    with np.load(corpus / "features.npz") as stored:
        symbols, ling, frames, f0 = (stored[name] for name in ("symbols", "ling", "frames", "f0"))

    def split(array: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        return np.split(array, np.cumsum(lengths)[:-1])

    for row, clip_ling, clip_wave, clip_mel, clip_f0, clip_energy in zip(
        rows,
        split(ling, symbols),
        split(wave, samples),
        split(mel, frames),
        split(f0, frames),
        split(energy, frames),
        strict=True,
    ):
        yield Recording(row, clip_ling.astype(np.int64), clip_wave, clip_mel, clip_f0.astype(np.float32), clip_energy)


def main() -> None:
    """Read the arguments and decode the corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    decode_corpus(args.corpus, args.processes)
    print(sum(len(each.mel) for each in iter_recordings(args.corpus)), "frames")


if __name__ == "__main__":
    main()
