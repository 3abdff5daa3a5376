"""Rows of a dataset, and metadata.csv, which most of them are read from."""

import csv
import io
from dataclasses import dataclass

from kubevoice.errors import InputError
from kubevoice.text import Unit
from typing_extensions import override

__all__ = ["METADATA", "REQUIRED", "Clip", "DatasetRow", "read_rows"]

METADATA = "metadata.csv"
REQUIRED = ("id", "text", "emotion", "wav_path")
MAX_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One line of a dataset, as it was written.

    `place` says where it stands: lines of metadata.csv are counted from 1, as a spreadsheet's rows less its head.
    `reading` is the pinyin of a dataset that brings its own (see `prosody`), else empty.
    """

    place: str
    fields: dict[str, str]
    reading: str = ""

    @override
    def __str__(self) -> str:
        name = self.fields["id"][:40]
        return self.place + (f" (id {name})" if name else "")


@dataclass(frozen=True, slots=True)
class Clip:
    """One good row: its text, labels and linguistic units, the path of its recording and its length in seconds."""

    id: str
    text: str
    emotion: str
    speaker: str
    path: str
    seconds: float
    place: str
    units: tuple[Unit, ...]


def read_rows(data: bytes) -> list[DatasetRow]:
    """Parse metadata.csv: UTF-8 with or without a byte-order mark, any line ends.

    Raises InputError if it is no such table; faults of single rows are the caller's to find.
    """
    text = decode_text(data, METADATA)
    reader = csv.DictReader(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")), strict=True)
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        if missing := [name for name in REQUIRED if name not in columns]:
            raise InputError(
                f"{METADATA} has no column {', '.join(missing)}; its first line must name {','.join(REQUIRED)}"
            )
        reader.fieldnames = columns
        rows = []
        for number, record in enumerate(reader, 1):
            if number > MAX_ROWS:
                raise InputError(f"{METADATA} has more than {MAX_ROWS} rows; split the dataset")
            fields = {name: (record.get(name) or "").strip() for name in (*REQUIRED, "speaker")}
            rows.append(DatasetRow(f"{METADATA} row {number}", fields))
    except csv.Error as error:
        raise InputError(f"{METADATA} line {reader.line_num} is no CSV: {error}") from None
    if not rows:
        raise InputError(f"{METADATA} has no rows; add a line for each recording")
    return rows


def decode_text(data: bytes, name: str) -> str:
    """Return UTF-8 text without its byte-order mark; InputError if it is something else."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
