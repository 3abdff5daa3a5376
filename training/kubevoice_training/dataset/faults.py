"""What makes one row of a dataset unusable: its fields, and its sound. Neither can be trusted."""

import difflib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import soundfile
from kubevoice.errors import InputError
from kubevoice.text.emotion_labels import KNOWN_EMOTIONS, is_label, resolve_emotion
from numpy.typing import NDArray

from kubevoice_training.dataset.rows import DatasetRow

__all__ = ["MAX_AUDIO_BYTES", "Waveform", "decode_audio", "find_row_faults"]

IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MAX_AUDIO_BYTES = 64 << 20
SHORTEST, LONGEST = 0.1, 30.0
LOWEST_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Waveform:
    """A usable recording.

    Attributes
    ----------
    samples
        Mono samples [T], full scale 1.
    rate
        Sample rate in Hz.
    """

    samples: NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


def _find_label_fault(row: DatasetRow, mapping: Mapping[str, str]) -> str | None:  # noqa: PLR0911  # one fault each
    label = row.fields["emotion"]
    if not label:
        return "the emotion is empty; write neutral if there is none"
    emotion = resolve_emotion(label, mapping)
    if not is_label(emotion):
        return (
            f"emotion {label[:40]!r} is not a label; use Chinese characters, or letters, digits, - and _ "
            "(32 at most), or map it in spec.dataset.emotions"
        )
    if emotion.startswith("placeholder") or emotion == "none":
        return f"emotion {emotion!r} is reserved; give it a name of its own"
    if emotion in KNOWN_EMOTIONS or not emotion.isascii() or mapping.get(label) == label:
        return None
    if label in mapping:
        return f"emotion {label!r} is mapped to {emotion!r}, which no voice knows; correct spec.dataset.emotions"
    close = difflib.get_close_matches(emotion, KNOWN_EMOTIONS, n=1, cutoff=0.8)
    if close:
        return f"emotion {label!r} is unknown; did you mean {close[0]!r}? Map it in spec.dataset.emotions if not"
    return None


def find_row_faults(row: DatasetRow, mapping: Mapping[str, str]) -> Iterator[str]:
    """Find the faults of a row's fields, except those of its text.

    Parameters
    ----------
    row
        A row of the dataset.
    mapping
        The known label that replaces each label of the dataset (`spec.dataset.emotions`).

    Yields
    ------
    str
        One message for each fault; it says how to correct it.
    """
    fields = row.fields
    if not IDENTIFIER.fullmatch(fields["id"]):
        yield f"id {fields['id'][:40]!r} is not usable; use letters, digits, dot, - and _ (128 at most)"
    if label := _find_label_fault(row, mapping):
        yield label
    if fields["speaker"] and not IDENTIFIER.fullmatch(fields["speaker"]):
        yield f"speaker {fields['speaker'][:40]!r} is not usable; use letters, digits, dot, - and _"
    path = PurePosixPath(fields["wav_path"])
    if not fields["wav_path"]:
        yield "wav_path is empty"
    elif path.is_absolute() or ".." in path.parts or "\\" in fields["wav_path"] or "\0" in fields["wav_path"]:
        yield f"wav_path {fields['wav_path'][:80]!r} leaves the dataset; use a path below it"


def decode_audio(data: bytes) -> Waveform:
    """Decode a recording and check that it can be used.

    Parameters
    ----------
    data
        Content of the sound file.

    Returns
    -------
    Waveform
        Mono samples and their rate.

    Raises
    ------
    InputError
        If the file is empty, cut short, not mono, silent or not readable, or its rate or length is not allowed.
    """
    if not data:
        raise InputError("is empty (0 bytes); copy it again")
    # libsndfile reads a WAV that was cut off as a shorter one. The size is 0 or all ones if it was written to a pipe.
    declared = int.from_bytes(data[4:8], "little") if data[:4] == b"RIFF" else 0
    if len(data) < declared + 8 < (1 << 32):
        raise InputError(f"ends after {len(data)} of {declared + 8} bytes; copy it again")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, channels, frames = file.samplerate, file.channels, file.frames
            if channels != 1:
                raise InputError(f"has {channels} channels; mix it down to one")
            if rate < LOWEST_RATE:
                raise InputError(f"is sampled at {rate} Hz; {LOWEST_RATE} Hz is the least")
            seconds = frames / rate
            if not SHORTEST <= seconds <= LONGEST:
                raise InputError(f"lasts {seconds:.2f} s; {SHORTEST} to {LONGEST:.0f} s are allowed")
            samples = file.read(dtype="float32")
    except soundfile.LibsndfileError as error:
        reason = str(error.error_string).rstrip(".")
        raise InputError(f"cannot be read as sound ({reason}); save it again as WAV or FLAC") from None
    if len(samples) < frames:
        raise InputError(f"ends after {len(samples) / rate:.2f} of {seconds:.2f} s; copy it again")
    if not np.isfinite(samples).all():
        raise InputError("has samples that are not numbers (NaN or infinite); export it again")
    if float(np.abs(samples).max(initial=0.0)) < 1e-4:
        raise InputError("is silent; record it again")
    return Waveform(samples, rate)
