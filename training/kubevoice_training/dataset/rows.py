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
    """One line of a dataset as it was written.

    Attributes
    ----------
    place
        Where it is, for messages. Rows of metadata.csv are counted from 1, without the line of column names.
    fields
        Values by column: `REQUIRED` and speaker.
    reading
        Marked text and pinyin of a dataset that has its own (see `prosody`), else empty.
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
        raise InputError(f"{METADATA} line {reader.line_num} is not valid CSV: {error}") from None
    if not rows:
        raise InputError(f"{METADATA} has no rows; add a line for each recording")
    return rows


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
