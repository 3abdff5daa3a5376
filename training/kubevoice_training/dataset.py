"""Reading a dataset and finding every fault in it before anything is computed.

A dataset is a folder in storage: metadata.csv with the columns id,text,emotion,wav_path and, optionally, speaker, and
the sound files it names. All of it is untrusted.
"""

import csv
import difflib
import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import soundfile
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.stages import EmotionSeconds
from kubevoice.storage import Storage
from kubevoice.text import EMOTIONS, analyse, is_han
from typing_extensions import override

__all__ = ["METADATA", "Clip", "Report", "check", "read_rows", "require"]

METADATA = "metadata.csv"
REQUIRED = ("id", "text", "emotion", "wav_path")
STYLES = ("polite", "narrative", "encouraging", "urgent")
"""Labels of ours beyond the reference's emotions."""
LABEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MAX_METADATA_BYTES, MAX_AUDIO_BYTES, MAX_ROWS, MAX_TEXT = 64 << 20, 64 << 20, 200_000, 512
SHORTEST, LONGEST = 0.1, 30.0
LOWEST_RATE = 16_000
FEW_CLIPS = 10
DEFAULT_SPEAKER = "default"


@dataclass(frozen=True, slots=True)
class Clip:
    """One good row: what is said how by whom, and where its sound is."""

    id: str
    text: str
    emotion: str
    speaker: str
    path: str
    seconds: float


@dataclass(slots=True)
class Report:
    """What a check found. `problems` is empty if the dataset can be used; `digest` names its content."""

    clips: list[Clip] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    digest: str = ""

    @property
    def seconds(self) -> float:
        """Length of all clips together."""
        return sum(clip.seconds for clip in self.clips)

    @property
    def per_emotion(self) -> dict[str, EmotionSeconds]:
        """Clips and seconds of each emotion."""
        lengths: dict[str, list[float]] = defaultdict(list)
        for clip in self.clips:
            lengths[clip.emotion].append(clip.seconds)
        return {label: EmotionSeconds(clips=len(s), seconds=round(sum(s), 2)) for label, s in lengths.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of metadata.csv; `number` counts lines of data from 1, as a spreadsheet's row less its head."""

    number: int
    fields: dict[str, str]

    @override
    def __str__(self) -> str:
        name = self.fields["id"][:40]
        return f"{METADATA} row {self.number}" + (f" (id {name})" if name else "")


def read_rows(data: bytes) -> list[Row]:
    """Parse metadata.csv: UTF-8 with or without a byte-order mark, any line ends.

    Raises InputError if it is no such table; faults of single rows are the caller's to find.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{METADATA} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    reader = csv.DictReader(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")), strict=True)
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        if missing := [name for name in REQUIRED if name not in columns]:
            raise InputError(
                f"{METADATA} has no column {', '.join(missing)}; its first line must name {','.join(REQUIRED)}"
            )
        reader.fieldnames = columns
        rows = []
        for number, found in enumerate(reader, 1):
            if number > MAX_ROWS:
                raise InputError(f"{METADATA} has more than {MAX_ROWS} rows; split the dataset")
            rows.append(Row(number, {name: (found.get(name) or "").strip() for name in (*REQUIRED, "speaker")}))
    except csv.Error as error:
        raise InputError(f"{METADATA} line {reader.line_num} is no CSV: {error}") from None
    if not rows:
        raise InputError(f"{METADATA} has no rows; add a line for each recording")
    return rows


def _label_problem(row: Row, mapping: Mapping[str, str]) -> str | None:
    label = row.fields["emotion"]
    if not label:
        return "the emotion is empty; write neutral if there is none"
    if not LABEL.fullmatch(label):
        return f"emotion {label[:40]!r} is no label; use lower-case letters, digits, - and _"
    target = mapping.get(label, label)
    if target != label and target not in EMOTIONS and target not in STYLES:
        return f"emotion {label!r} is mapped to {target!r}, which no voice knows; correct spec.dataset.emotions"
    if target.startswith("placeholder") or target == "none":
        return f"emotion {target!r} is reserved; give it a name of its own"
    close = difflib.get_close_matches(target, (*EMOTIONS, *STYLES), n=1, cutoff=0.8)
    if target not in EMOTIONS and target not in STYLES and close:
        return f"emotion {label!r} is unknown; did you mean {close[0]!r}? Map it in spec.dataset.emotions if not"
    return None


def _row_problems(row: Row, mapping: Mapping[str, str]) -> Iterator[str]:
    """Faults that can be seen without the sound."""
    fields = row.fields
    if not IDENTIFIER.fullmatch(fields["id"]):
        yield f"id {fields['id'][:40]!r} is not usable; use letters, digits, dot, - and _ (128 at most)"
    if label := _label_problem(row, mapping):
        yield label
    if fields["speaker"] and not IDENTIFIER.fullmatch(fields["speaker"]):
        yield f"speaker {fields['speaker'][:40]!r} is not usable; use letters, digits, dot, - and _"
    if len(fields["text"]) > MAX_TEXT:
        yield f"the text has {len(fields['text'])} characters, {MAX_TEXT} are allowed; cut the recording"
    elif fields["text"] and not any(is_han(c) or c.isdigit() for c in fields["text"]):
        yield f"the text {fields['text'][:40]!r} has no Mandarin; write what is said in Chinese characters"
    else:
        try:
            analyse(fields["text"])
        except InputError as error:
            yield str(error)
    path = PurePosixPath(fields["wav_path"])
    if not fields["wav_path"]:
        yield "wav_path is empty"
    elif path.is_absolute() or ".." in path.parts or "\\" in fields["wav_path"] or "\0" in fields["wav_path"]:
        yield f"wav_path {fields['wav_path'][:80]!r} leaves the dataset; use a path below it"


def _sound(data: bytes) -> float:
    """Return the seconds of a usable recording; InputError says what is wrong with another."""
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
        raise InputError(f"cannot be read as sound ({str(error).rstrip('.')}); save it again as WAV or FLAC") from None
    if len(samples) < frames:
        raise InputError(f"ends after {len(samples) / rate:.2f} of {seconds:.2f} s; copy it again")
    if not np.isfinite(samples).all() or float(np.abs(samples).max(initial=0.0)) < 1e-4:
        raise InputError("is silent; record it again")
    return float(seconds)


def check(storage: Storage, emotions: Mapping[str, str]) -> Report:
    """Read the whole dataset and report every fault, all rows at once; `emotions` maps labels to known ones.

    Raises InputError if there is no dataset at all, KubeVoiceError if the storage cannot be reached.
    """
    sizes = {item.key: item.size for item in storage.list()}
    if METADATA not in sizes:
        raise InputError(f"{storage.uri} has no {METADATA}; name the folder that holds it and the recordings")
    if sizes[METADATA] > MAX_METADATA_BYTES:
        raise InputError(f"{storage.uri}/{METADATA} is larger than {MAX_METADATA_BYTES >> 20} MiB; split the dataset")
    data = storage.read(METADATA)
    rows, report = read_rows(data), Report()
    hashes = {METADATA: hashlib.sha256(data).hexdigest()}
    repeated = {name for name, count in Counter(row.fields["id"] for row in rows).items() if count > 1 and name}
    for row in rows:
        faults = list(_row_problems(row, emotions))
        path = row.fields["wav_path"]
        if row.fields["id"] in repeated:
            faults.append("the id is used by another row too")
        if path and not any(fault.startswith("wav_path") for fault in faults):
            try:
                seconds = _read_sound(storage, path, sizes, hashes)
                label = emotions.get(row.fields["emotion"], row.fields["emotion"])
                who = row.fields["speaker"] or DEFAULT_SPEAKER
                clip = Clip(row.fields["id"], row.fields["text"], label, who, path, seconds)
                report.clips += [] if faults else [clip]
            except InputError as error:
                faults.append(f"{path}: {error}")
        report.problems += [f"{row}: {fault}" for fault in faults]
    report.digest = _digest(hashes)
    report.warnings = list(_warnings(report, set(sizes) - set(hashes)))
    return report


def _read_sound(storage: Storage, path: str, sizes: Mapping[str, int], hashes: dict[str, str]) -> float:
    if path not in sizes:
        raise InputError("there is no such file")
    if sizes[path] > MAX_AUDIO_BYTES:
        raise InputError(f"is larger than {MAX_AUDIO_BYTES >> 20} MiB")
    try:
        data = storage.read(path)
    except InputError as error:
        raise InputError(str(error)) from None
    hashes[path] = hashlib.sha256(data).hexdigest()
    return _sound(data)


def _digest(hashes: Mapping[str, str]) -> str:
    body = json.dumps(hashes, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(body.encode()).hexdigest()}"


def _warnings(report: Report, unused: set[str]) -> Iterator[str]:
    for label, share in report.per_emotion.items():
        if share.clips < FEW_CLIPS:
            yield f"emotion {label} has only {share.clips} clips; {FEW_CLIPS} or more are learned better"
    sounds = sorted(name for name in unused if name.lower().endswith((".wav", ".flac", ".ogg")))
    if sounds:
        yield f"{len(sounds)} sound files are in no row of {METADATA}, such as {sounds[0]}"


def require(report: Report, where: str) -> None:
    """Raise InputError with every problem, if there are any."""
    if report.problems:
        raise InputError(f"dataset {where} has {len(report.problems)} problems", report.problems)
    if not report.clips:
        raise KubeVoiceError(f"dataset {where} has no usable clip")
