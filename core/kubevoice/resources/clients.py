"""spec.serving.clients: how requests are answered that clients of other servers send."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from kubevoice.resources.schema import Part

__all__ = ["Clients", "SilentText", "UnknownVoice", "VoiceAlias"]


class UnknownVoice(StrEnum):
    """What becomes of a request for a voice that does not exist."""

    REFUSE = "Refuse"
    DEFAULT = "Default"


class SilentText(StrEnum):
    """What is returned for text in which nothing can be spoken."""

    SILENCE = "Silence"
    NO_CONTENT = "NoContent"


class VoiceAlias(Part):
    """What a further name of the voice means."""

    speaker: str | None = Field(
        None, max_length=256, description="Speaker or blend, unless the request names one; the first if unset."
    )
    emotion: str | None = Field(
        None, max_length=64, description="Emotion, unless the request names one; the voice's default if unset."
    )


class Clients(Part):
    """How requests are answered that clients of other servers send."""

    voice_aliases: dict[Annotated[str, Field(max_length=128)], VoiceAlias] = Field(
        default_factory=dict,
        max_length=64,
        description="Further names of the voice, such as nova. OpenAI's names need no entry to mean the voice.",
    )
    unknown_voice: UnknownVoice = Field(
        UnknownVoice.REFUSE,
        description="Refuse answers a request for an unknown voice with 404, Default with this voice and a notice.",
    )
    silent_text: SilentText = Field(
        SilentText.SILENCE,
        description="Silence answers text in which nothing can be spoken with a short silence, NoContent with 204.",
    )
