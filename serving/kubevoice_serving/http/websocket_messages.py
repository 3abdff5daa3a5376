"""Messages of the WebSocket: a caller's messages, and the events that only the WebSocket has (others: `events`)."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from kubevoice_serving.http.events import Event
from kubevoice_serving.http.schemas import (
    MAX_CHARACTERS,
    AudioFormat,
    ErrorBody,
    RequestNotice,
    SpeechOptions,
    StrictModel,
    Text,
)

__all__ = [
    "MESSAGE",
    "EndMessage",
    "ErrorEvent",
    "FlushMessage",
    "Flushed",
    "Message",
    "SentenceStarted",
    "SpeechStarted",
    "StartMessage",
    "TextMessage",
]


class StartMessage(SpeechOptions):
    """The first message: the options for the whole text."""

    type: Literal["start"]
    response_format: AudioFormat = Field(
        "pcm", description="Format of the binary messages, which together are one file."
    )
    timestamps: bool = Field(False, description="Send the times of words and characters.")


class TextMessage(StrictModel):
    """The next part of the text, cut anywhere."""

    type: Literal["text"]
    text: Text = Field(max_length=MAX_CHARACTERS)


class FlushMessage(StrictModel):
    """Synthesize the text so far, even if its last sentence is not complete."""

    type: Literal["flush"]


class EndMessage(StrictModel):
    """There is no more text."""

    type: Literal["end"]


Message = Annotated[StartMessage | TextMessage | FlushMessage | EndMessage, Field(discriminator="type")]
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


class SpeechStarted(Event):
    """The first event, before any audio."""

    type: Literal["speech.started"] = "speech.started"
    voice: str
    revision: str
    response_format: AudioFormat
    sample_rate: int
    notices: tuple[RequestNotice, ...] = Field((), description="What of the first message has no effect.")


class SentenceStarted(Event):
    """The next binary message begins a sentence, which is `begin` to before `finish` of the text that was sent."""

    type: Literal["speech.sentence.started"] = "speech.sentence.started"
    text: str
    begin: int
    finish: int
    start: float = Field(description="Seconds from the beginning of the audio.")
    revision: str = Field(description="The revision that synthesizes it; it changes if a rollout comes between.")


class Flushed(Event):
    """The audio of everything before a flush has been sent."""

    type: Literal["speech.flushed"] = "speech.flushed"


class ErrorEvent(Event):
    """What went wrong. The connection is then closed with 4000 plus the status that HTTP would have."""

    type: Literal["error"] = "error"
    error: ErrorBody
