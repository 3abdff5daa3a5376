"""The body of a batch, and the batch result: the manifest that is returned with its files."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from kubevoice.validation import field_path
from pydantic import BaseModel, Field, PlainValidator, ValidationError

from kubevoice_serving.http.schemas import AudioFormat, ErrorBody, RequestNotice, SpeechInput, StrictModel

__all__ = ["BatchItem", "BatchItemResult", "BatchRequest", "BatchResultManifest", "InvalidBatchItem"]

ID = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"
MAX_ITEMS = 64


class BatchItem(SpeechInput):
    """One text, and how it should be spoken."""

    id: str | None = Field(None, pattern=ID, description="Names its file; omitted, its number: 001 is the first.")
    response_format: AudioFormat = "mp3"


@dataclass(frozen=True, slots=True)
class InvalidBatchItem:
    """An item whose values are wrong.

    Attributes
    ----------
    id : str or None
        Its id, if that is valid.
    faults : tuple of (str, str)
        Name of each field that is wrong, and what is wrong with it.
    """

    id: str | None
    faults: tuple[tuple[str, str], ...]


def _parse_item(value: Any) -> BatchItem | InvalidBatchItem:
    try:
        return BatchItem.model_validate(value)
    except ValidationError as error:
        name = value.get("id") if isinstance(value, dict) else None
        faults = ((field_path(fault["loc"], "item"), fault["msg"]) for fault in error.errors())
        return InvalidBatchItem(name if isinstance(name, str) and re.fullmatch(ID, name) else None, tuple(faults))


Item = Annotated[BatchItem | InvalidBatchItem, PlainValidator(_parse_item, json_schema_input_type=BatchItem)]


class BatchRequest(StrictModel):
    """The texts of a batch. An invalid item does not make the batch invalid."""

    items: list[Item] = Field(min_length=1, max_length=MAX_ITEMS)


class BatchItemResult(BaseModel):
    """The result of an item."""

    id: str
    status: int = Field(description="The status of a request of its own: 200, 204, or that of `error`.")
    file: str | None = Field(None, description="Its name in the ZIP file; null if there is none.")
    voice: str | None = None
    revision: str | None = None
    sample_rate: int | None = None
    audio_seconds: float | None = None
    notices: list[RequestNotice] = Field([], description="What of the item has no effect.")
    error: ErrorBody | None = None


class BatchResultManifest(BaseModel):
    """The results of all items, in their order: manifest.json of the ZIP file."""

    total: int
    succeeded: int
    failed: int
    items: list[BatchItemResult]
