"""What is said over a WebSocket: a caller's messages, and the events that are no others' already (see events)."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from kubevoice_serving.http.events import Event
from kubevoice_serving.http.schemas import MAX_CHARACTERS, AudioFormat, Controlled, ErrorBody, Request, Text

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


class StartMessage(Controlled):
    """The first message: how all of the text is to be spoken."""

    type: Literal["start"]
    response_format: AudioFormat = Field("pcm", description="Of the binary messages, which together are one file.")
    timestamps: bool = Field(False, description="Tell when words and characters are heard.")


class TextMessage(Request):
    """Text as it comes, cut anywhere."""

    type: Literal["text"]
    text: Text = Field(max_length=MAX_CHARACTERS)


class FlushMessage(Request):
    """What has come is to be spoken now, even if its last sentence has no end."""

    type: Literal["flush"]


class EndMessage(Request):
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


class SentenceStarted(Event):
    """The next binary message begins a sentence; `begin` and `finish` are where it stands in the text that was sent."""

    type: Literal["speech.sentence.started"] = "speech.sentence.started"
    text: str
    begin: int
    finish: int
    start: float = Field(description="Seconds from the beginning of the audio.")
    revision: str = Field(description="What speaks it: another one if a rollout came between.")


class Flushed(Event):
    """The audio of everything up to a flush has been sent."""

    type: Literal["speech.flushed"] = "speech.flushed"


class ErrorEvent(Event):
    """What went wrong; the connection is closed with 4000 plus the status that HTTP would have."""

    type: Literal["error"] = "error"
    error: ErrorBody
