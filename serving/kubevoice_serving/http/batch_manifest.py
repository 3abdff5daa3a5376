"""The body of a batch, and the manifest that comes back with its files."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, PlainValidator, ValidationError

from kubevoice_serving.http.schemas import AudioFormat, ErrorBody, NotObeyed, Request, Spoken

__all__ = ["BatchItem", "BatchManifest", "BatchRequest", "BatchResult", "NotUnderstood"]

ID = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"
MAX_ITEMS = 64


class BatchItem(Spoken):
    """One text, and how it is to be spoken."""

    id: str | None = Field(None, pattern=ID, description="Names its file; omitted, its number: 001 is the first.")
    response_format: AudioFormat = "mp3"


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """An item whose values are wrong: its id, if that can be used, and the name and the fault of each."""

    id: str | None
    faults: tuple[tuple[str, str], ...]


def _read(value: Any) -> BatchItem | NotUnderstood:
    try:
        return BatchItem.model_validate(value)
    except ValidationError as error:
        name = value.get("id") if isinstance(value, dict) else None
        faults = ((".".join(map(str, fault["loc"])) or "item", fault["msg"]) for fault in error.errors())
        return NotUnderstood(name if isinstance(name, str) and re.fullmatch(ID, name) else None, tuple(faults))


Item = Annotated[BatchItem | NotUnderstood, PlainValidator(_read, json_schema_input_type=BatchItem)]


class BatchRequest(Request):
    """What is to be spoken."""

    items: list[Item] = Field(min_length=1, max_length=MAX_ITEMS)


class BatchResult(BaseModel):
    """What became of an item."""

    id: str
    status: int = Field(description="The one that HTTP would have: 200, or that of `error`.")
    file: str | None = Field(None, description="Its name in the ZIP file; null if there is an error.")
    voice: str | None = None
    revision: str | None = None
    sample_rate: int | None = None
    audio_seconds: float | None = None
    notices: list[NotObeyed] = Field([], description="What of an SSML document is not obeyed.")
    error: ErrorBody | None = None


class BatchManifest(BaseModel):
    """What became of all items, in their order."""

    total: int
    succeeded: int
    failed: int
    items: list[BatchResult]
