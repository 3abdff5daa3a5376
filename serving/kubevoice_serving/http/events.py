"""Events that are sent during synthesis: OpenAI's, and one for timestamps."""

import base64
from typing import Any, Literal, Self

from fastapi import FastAPI
from kubevoice.engine.timing import Bookmark, SentenceTime, Times
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

__all__ = [
    "AudioDelta",
    "AudioDone",
    "Event",
    "Timestamps",
    "document_models",
    "format_sse_event",
    "make_schema_reference",
]


class Event(BaseModel):
    """Base of all events. Each has a `type`, and clients ignore types they do not know."""

    model_config = ConfigDict(frozen=True)


class AudioDelta(Event):
    """The next bytes of the file, in base64."""

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str

    @classmethod
    def from_audio(cls, audio: bytes) -> Self:
        """Return the event for a chunk of a file.

        Parameters
        ----------
        audio : bytes
            Bytes of the file.

        Returns
        -------
        AudioDelta
            The event.
        """
        return cls(audio=base64.b64encode(audio).decode())


class Timestamps(Event):
    """Times of words, characters and bookmarks in seconds from the beginning of the audio; sent before their audio.

    Together these events have the times that /v1/audio/subtitles returns.
    """

    type: Literal["speech.audio.timestamps"] = "speech.audio.timestamps"
    sentences: tuple[SentenceTime, ...]
    bookmarks: tuple[Bookmark, ...]

    @classmethod
    def from_times(cls, times: Times) -> Self:
        """Return the event for some times.

        Parameters
        ----------
        times : Times
            Times in seconds from the beginning of the audio.

        Returns
        -------
        Timestamps
            The event.
        """
        return cls(sentences=times.sentences, bookmarks=times.bookmarks)


class Usage(BaseModel):
    """OpenAI counts tokens; here they are the characters of the input."""

    input_tokens: int
    output_tokens: int = 0
    total_tokens: int


class AudioDone(Event):
    """The last event."""

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: Usage

    @classmethod
    def from_characters(cls, characters: int) -> Self:
        """Return the event for the end of a speech.

        Parameters
        ----------
        characters : int
            Characters of its text.

        Returns
        -------
        AudioDone
            The event.
        """
        return cls(usage=Usage(input_tokens=characters, total_tokens=characters))


def format_sse_event(event: Event) -> bytes:
    """Return an event as one message of text/event-stream.

    Parameters
    ----------
    event : Event
        The event.

    Returns
    -------
    bytes
        A `data:` line and an empty line, in UTF-8.
    """
    return f"data: {event.model_dump_json()}\n\n".encode()


SCHEMA_REFERENCE = "#/components/schemas/{model}"


def make_schema_reference(*models: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a value that is one of some models.

    Parameters
    ----------
    *models : type of BaseModel
        Models that `document_models` has put into the document.

    Returns
    -------
    dict
        An OpenAPI schema: `oneOf` with a reference to each model.
    """
    return {"oneOf": [{"$ref": SCHEMA_REFERENCE.format(model=model.__name__)} for model in models]}


def document_models(app: FastAPI, *models: type[BaseModel]) -> None:
    """Add the schemas of `models` to the OpenAPI document of `app`.

    FastAPI adds those of the routes' own bodies and responses; these are inside streams and messages.

    Parameters
    ----------
    app : FastAPI
        The application, whose `openapi` method is replaced.
    *models : type of BaseModel
        The models.
    """
    _, schemas = models_json_schema([(model, "serialization") for model in models], ref_template=SCHEMA_REFERENCE)
    build_document = app.openapi

    def build_with_models() -> dict[str, Any]:
        document = build_document()
        document["components"]["schemas"] |= schemas["$defs"]
        return document

    app.openapi = build_with_models  # type: ignore[method-assign]  # as FastAPI's documentation describes
