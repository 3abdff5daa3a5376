"""Models of the lists of voices, as /docs shows them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kubevoice_serving.domain import VoiceState

__all__ = [
    "AudioModelList",
    "AudioVoiceList",
    "ListedModel",
    "ListedVoice",
    "OpenAIModel",
    "OpenAIModelList",
    "Voice",
    "VoiceList",
]


class Voice(BaseModel):
    """A voice."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    revision: str
    language: str | None = Field(description="null where a voice is loaded on demand and has not been read yet.")
    sample_rate: int | None = Field(description="null where `language` is.")
    speakers: list[str]
    emotions: list[str]
    styles: list[str]
    metrics: dict[str, float]
    attribution: list[str]
    default: bool
    state: VoiceState = Field(
        description="Whether the voice is loaded, is loaded at its first request, or cannot be loaded now."
    )


class VoiceList(BaseModel):
    """Every voice."""

    voices: list[Voice]


class OpenAIModel(BaseModel):
    """OpenAI's model object; each voice is one."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "kubevoice"
    state: VoiceState = Field(description="As in /v1/voices.")


class OpenAIModelList(BaseModel):
    """OpenAI's list object."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


class ListedVoice(BaseModel):
    """A voice in the list of /v1/audio/voices."""

    id: str = Field(description="What `voice` of a request takes.")
    name: str
    language: str | None = Field(
        None, description="null for an alias, and where a voice is loaded on demand and has not been read yet."
    )
    speakers: tuple[str, ...] = ()
    emotions: tuple[str, ...] = ()


class AudioVoiceList(BaseModel):
    """The voices as Open WebUI and clients of Kokoro-FastAPI read them."""

    voices: list[ListedVoice]


class ListedModel(BaseModel):
    """A voice in the list of /v1/audio/models."""

    id: str
    name: str


class AudioModelList(BaseModel):
    """The voices as Open WebUI reads models."""

    models: list[ListedModel]
