"""Routes for lists: voices in our form, and in the forms that OpenAI's and other clients ask for."""

from http import HTTPStatus

from fastapi import FastAPI
from kubevoice.resources.data_plane import RevisionsResponse

from kubevoice_serving.domain import VoiceInfo
from kubevoice_serving.http.client_rules import ClientRules
from kubevoice_serving.http.errors import ERRORS, ApiError
from kubevoice_serving.http.list_schemas import (
    AudioModelList,
    AudioVoiceList,
    ListedModel,
    ListedVoice,
    OpenAIModel,
    OpenAIModelList,
    Voice,
    VoiceList,
)
from kubevoice_serving.routing.backend import Backend
from kubevoice_serving.unknown_voice import UnknownVoiceError

__all__ = ["add_list_routes"]


def add_list_routes(app: FastAPI, backend: Backend, rules: ClientRules) -> None:
    """Add the routes that list voices, models and revisions.

    Parameters
    ----------
    app : FastAPI
        The application.
    backend : Backend
        The replicas.
    rules : ClientRules
        Further names of voices.
    """

    @app.get("/v1/voices", tags=["voices"])
    async def voices() -> VoiceList:
        """List voices with their speakers, emotions and provenance."""
        return VoiceList(voices=[Voice.model_validate(voice) for voice in await backend.list_voices()])

    @app.get("/v1/audio/voices", tags=["voices"])
    async def audio_voices() -> AudioVoiceList:
        """List the names that `voice` of a request takes, for Open WebUI and clients of Kokoro-FastAPI."""
        voices = await backend.list_voices()
        names = [voice.name for voice in voices]
        aliases = [ListedVoice(id=alias, name=alias) for alias in rules.list_aliases(names)]
        return AudioVoiceList(voices=[_list_voice(voice) for voice in voices] + aliases)

    @app.get("/v1/audio/models", tags=["voices"])
    async def audio_models() -> AudioModelList:
        """List the voices as models, for Open WebUI."""
        voices = await backend.list_voices()
        return AudioModelList(models=[ListedModel(id=voice.name, name=voice.name) for voice in voices])

    @app.get("/v1/models", tags=["voices"])
    async def models() -> OpenAIModelList:
        """List the voices as models, for OpenAI's clients."""
        return OpenAIModelList(data=[_make_model(voice) for voice in await backend.list_voices()])

    @app.get("/v1/models/{model:path}", tags=["voices"], responses={404: ERRORS[404]})
    async def model(model: str) -> OpenAIModel:
        """Return one voice as a model."""
        voices = {voice.name: voice for voice in await backend.list_voices()}
        if model not in voices:
            unknown = UnknownVoiceError(model, voices)
            raise ApiError(HTTPStatus.NOT_FOUND, "unknown_voice", str(unknown), param="model")
        return _make_model(voices[model])

    @app.get("/v1/revisions", tags=["operations"])
    async def revisions() -> RevisionsResponse:
        """List the revision of each voice in each replica, and the outcomes of the requests of each track."""
        return RevisionsResponse(replicas=tuple(await backend.list_replicas()), traffic=backend.track_traffic())


def _list_voice(voice: VoiceInfo) -> ListedVoice:
    return ListedVoice(
        id=voice.name, name=voice.name, language=voice.language, speakers=voice.speakers, emotions=voice.emotions
    )


def _make_model(voice: VoiceInfo) -> OpenAIModel:
    return OpenAIModel(id=voice.name, state=voice.state)
