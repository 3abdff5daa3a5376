"""Which voices the caller of a request may use."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import replace
from http import HTTPStatus
from typing import TypeVar

from kubevoice.text import Analysis
from typing_extensions import override

from kubevoice_serving.domain import Refusal, SpeechItem, SpeechTiming, SynthesisRequest, SynthesisResult, VoiceInfo
from kubevoice_serving.http.errors import ApiError
from kubevoice_serving.routing.forwarding_backend import ForwardingBackend
from kubevoice_serving.unknown_voice import UnknownVoiceError

__all__ = ["ALLOWED_VOICES", "VoiceAccessBackend"]

T = TypeVar("T")

ALLOWED_VOICES: ContextVar[tuple[str, ...]] = ContextVar("allowed_voices", default=())
"""The voices of the key of the present request, its default voice first; empty if it may use all. AccessMiddleware sets
it, and tasks of the request inherit it."""


class VoiceAccessBackend(ForwardingBackend):
    """Passes on calls for voices in ALLOWED_VOICES, and shows no others.

    It stands between the routes and the replicas, so that no route can leave the check out.

    Parameters
    ----------
    backend : Backend
        Answers.
    """

    async def synthesize(self, request: SynthesisRequest) -> SynthesisResult | Refusal:
        """Synthesize a complete speech with a voice that the caller may use.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Returns
        -------
        SynthesisResult or Refusal
            The backend's answer.

        Raises
        ------
        ApiError
            403 if the caller may not use the voice.
        """
        return _hide_names(await self._backend.synthesize(_check_voice(request)), request)

    async def stream(self, request: SynthesisRequest) -> AsyncGenerator[SpeechItem, None]:
        """Stream a speech of a voice that the caller may use.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Yields
        ------
        SpeechItem
            The backend's items.

        Raises
        ------
        ApiError
            403 if the caller may not use the voice.
        """
        async with aclosing(self._backend.stream(_check_voice(request))) as items:
            async for item in items:
                yield _hide_names(item, request)

    @override
    async def compute_timing(self, request: SynthesisRequest) -> SpeechTiming | Refusal:
        return _hide_names(await super().compute_timing(_check_voice(request)), request)

    @override
    async def analyze(self, request: SynthesisRequest) -> Analysis | Refusal:
        return _hide_names(await super().analyze(_check_voice(request)), request)

    @override
    async def list_voices(self) -> tuple[VoiceInfo, ...]:
        voices, allowed = await super().list_voices(), ALLOWED_VOICES.get()
        if not allowed:
            return voices
        return tuple(replace(voice, default=voice.name == allowed[0]) for voice in voices if voice.name in allowed)


def _check_voice(request: SynthesisRequest) -> SynthesisRequest:
    """Return the request with the caller's default voice if it names none. ApiError if it names one of others.

    Whether such a voice exists makes no difference, because names may be confidential.
    """
    allowed = ALLOWED_VOICES.get()
    if not allowed or request.voice in allowed:
        return request
    if not request.voice:
        return replace(request, voice=allowed[0])
    message = f"this API key may not use a voice {request.voice[:64]!r}; it may use: {', '.join(allowed)}"
    raise ApiError(HTTPStatus.FORBIDDEN, "voice_not_allowed", message, param="voice")


def _hide_names(outcome: T, request: SynthesisRequest) -> T:
    """Return an outcome; without the names of other voices, if it says that there is no such voice."""
    allowed = ALLOWED_VOICES.get()
    if allowed and isinstance(outcome, Refusal) and outcome.unknown_voice:
        return replace(outcome, message=str(UnknownVoiceError(request.voice or allowed[0], ())), problems=())
    return outcome
