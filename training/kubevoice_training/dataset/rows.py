"""Rows of a dataset, and metadata.csv, which most of them are read from."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from kubevoice.errors import InputError
from kubevoice.text import Unit
from typing_extensions import override

__all__ = ["METADATA", "REQUIRED", "Clip", "DatasetRow", "read_rows"]

METADATA = "metadata.csv"
REQUIRED = ("id", "text", "emotion", "wav_path")
MAX_ROWS = 200_000
QUOTES = 'a row is one line: close it there, or write it twice ("")'


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One line of a dataset as it was written.

    Attributes
    ----------
    place
        Where it is, for messages. Rows of metadata.csv are counted from 1, without the line of column names.
    fields
        Values by column: `REQUIRED` and speaker.
    reading
        Marked text and pinyin of a dataset that has its own (see `prosody`), else empty.
    fault
        Why the line cannot be split into fields; empty if it can. The fields have no meaning then.
    """

    place: str
    fields: dict[str, str]
    reading: str = ""
    fault: str = ""

    @override
    def __str__(self) -> str:
        name = "" if self.fault else self.fields["id"][:40]
        return self.place + (f" (id {name})" if name else "")


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of a dataset without faults.

    Attributes
    ----------
    id, text, emotion, speaker
        As in the dataset; the emotion is the known label it is mapped to.
    path
        Of the recording, below the dataset's folder.
    seconds
        Length of the recording.
    place
        Where the row is, for messages.
    units
        Linguistic units of the text.
    """

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

    Faults of single rows are not reported here; `check_dataset` finds them.

    Parameters
    ----------
    data
        Content of the file.

    Returns
    -------
    list of DatasetRow
        The rows in their order.

    Raises
    ------
    InputError
        If it is not such a table, has no rows, or has more than `MAX_ROWS`.
    """
    text = decode_text(data, METADATA).replace("\r\n", "\n").replace("\r", "\n")
    reader = csv.DictReader(io.StringIO(text), strict=True)
    line = 0  # the last one of the rows so far
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        if missing := [name for name in REQUIRED if name not in columns]:
            raise InputError(
                f"{METADATA} has no column {', '.join(missing)}; its first line must name {','.join(REQUIRED)}"
            )
        reader.fieldnames = columns
        line = reader.line_num
        rows = []
        for number, record in enumerate(reader, 1):
            if number > MAX_ROWS:
                raise InputError(f"{METADATA} has more than {MAX_ROWS} rows; split the dataset")
            line = reader.line_num
            rows.append(_build_row(number, line, record))
    except csv.Error as error:
        begun = line + 1 + next((i for i, rest in enumerate(text.split("\n")[line:]) if rest), 0)
        is_open = str(error) == "unexpected end of data"
        reason = "the quotation mark that opens here is never closed" if is_open else f"this is not valid CSV: {error}"
        raise InputError(f"{METADATA} line {begun}: {reason}; {QUOTES}") from None
    if not rows:
        raise InputError(f"{METADATA} has no rows; add a line for each recording")
    return rows


def _build_row(number: int, line: int, record: Mapping[str | None, str | list[str]]) -> DatasetRow:
    """Return a row whose last line is `line`."""
    surplus = record.get(None) or ()
    values = [*(value or "" for name, value in record.items() if name is not None), *surplus]
    fields = {name: str(record.get(name) or "").strip() for name in (*REQUIRED, "speaker")}
    if breaks := sum(str(value).count("\n") for value in values):
        fault = f"the quotation mark that opens here closes in line {line}; {QUOTES}"
        return DatasetRow(f"{METADATA} line {line - breaks}", fields, fault=fault)
    if surplus:
        fault = f"has {len(values)} fields, but the first line names {len(record) - 1}; quote a text that has commas"
        return DatasetRow(f"{METADATA} row {number}", fields, fault=fault)
    return DatasetRow(f"{METADATA} row {number}", fields)


def decode_text(data: bytes, name: str) -> str:
    """Decode UTF-8 with or without a byte-order mark.

    Parameters
    ----------
    data
        Content of the file.
    name
        Name of the file, for messages.

    Returns
    -------
    str
        The text without the byte-order mark.

    Raises
    ------
    InputError
        If the file is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
