"""What is told while speech is made: OpenAI's events, and one more for times."""

import base64
from typing import Any, Literal

from fastapi import FastAPI
from kubevoice.engine.timing import Bookmark, SentenceTime, Times
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

__all__ = [
    "AudioDelta",
    "AudioDone",
    "Timestamps",
    "add_models",
    "delta",
    "done",
    "reference",
    "server_sent",
    "timestamps",
]


class Event(BaseModel):
    """Every event has a type; whoever does not know it passes over it."""

    model_config = ConfigDict(frozen=True)


class AudioDelta(Event):
    """The next bytes of the file, in base64."""

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str


class Timestamps(Event):
    """When words, characters and bookmarks are heard, before they are, in seconds from the beginning of the audio.

    All such events of a speech together have what /v1/audio/subtitles answers.
    """

    type: Literal["speech.audio.timestamps"] = "speech.audio.timestamps"
    sentences: tuple[SentenceTime, ...]
    bookmarks: tuple[Bookmark, ...]


class Usage(BaseModel):
    """OpenAI counts tokens; here the characters of the input."""

    input_tokens: int
    output_tokens: int = 0
    total_tokens: int


class AudioDone(Event):
    """The last event."""

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: Usage


def delta(audio: bytes) -> AudioDelta:
    """Return the event for a piece of a file."""
    return AudioDelta(audio=base64.b64encode(audio).decode())


def timestamps(times: Times) -> Timestamps:
    """Return the event for some times."""
    return Timestamps(sentences=times.sentences, bookmarks=times.bookmarks)


def done(characters: int) -> AudioDone:
    """Return the event for the end of a speech of so many characters."""
    return AudioDone(usage=Usage(input_tokens=characters, total_tokens=characters))


def server_sent(event: Event) -> bytes:
    """Write an event for text/event-stream."""
    return f"data: {event.model_dump_json()}\n\n".encode()


REFERENCE = "#/components/schemas/{model}"


def reference(*models: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a value that is one of `models`, for the OpenAPI document."""
    return {"oneOf": [{"$ref": REFERENCE.format(model=model.__name__)} for model in models]}


def add_models(app: FastAPI, *models: type[BaseModel]) -> None:
    """Describe `models`, which no route takes or returns by itself, in the OpenAPI document of `app`."""
    _, found = models_json_schema([(model, "serialization") for model in models], ref_template=REFERENCE)
    plain = app.openapi

    def documented() -> dict[str, Any]:
        document = plain()
        document["components"]["schemas"] |= found["$defs"]
        return document

    app.openapi = documented  # type: ignore[method-assign]  # as FastAPI's documentation has it
