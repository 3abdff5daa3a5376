"""The route for speech: a complete file, a streamed file, or server-sent events."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Response
from fastapi.responses import StreamingResponse
from kubevoice.audio.encode import CONTENT_TYPES
from kubevoice.engine.timing import Times
from kubevoice.text.ssml import Notice

from kubevoice_serving.domain import Refusal, SpeechHead, SynthesisRequest, SynthesisResult, SynthesisStats
from kubevoice_serving.http.client_rules import ClientRules
from kubevoice_serving.http.errors import ERRORS, ApiError, SilentTextError, make_refusal_error
from kubevoice_serving.http.events import (
    AudioDelta,
    AudioDone,
    Timestamps,
    document_models,
    format_sse_event,
    make_schema_reference,
)
from kubevoice_serving.http.metrics import HttpMetrics
from kubevoice_serving.http.notices import make_notices_header
from kubevoice_serving.http.request_parsing import check_text, parse_synthesis_request
from kubevoice_serving.http.schemas import SpeechRequest
from kubevoice_serving.routing.backend import Backend
from kubevoice_serving.tracing import current_span

__all__ = ["STREAM_HEADERS", "add_speech_route", "is_cache_bypassed", "synthesize"]

STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""Headers that make proxies pass a stream on as it comes: a proxy that compresses, or nginx, would hold back the first
kilobytes."""

FORMATS_WITH_LENGTH = ("wav", "flac")
"""Formats whose headers contain their length, so that they are sent only when they are complete."""
TIMESTAMPS_NEED_EVENTS = (
    "an audio file cannot contain timestamps; set stream_format to sse for events that have them, "
    "or send the same request to /v1/audio/subtitles"
)
LOUDNESS_NEEDS_WHOLE = "loudness is known only after synthesis; omit stream and stream_format, or omit loudness"
SPEECH_RESPONSES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK: {
        "description": "The file; with `sse`, events.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES.values()}
        | {"text/event-stream": {"schema": make_schema_reference(AudioDelta, Timestamps, AudioDone)}},
    },
    HTTPStatus.NO_CONTENT: {"description": "Nothing in the text can be spoken, and the service is set to say so."},
}


def add_speech_route(app: FastAPI, backend: Backend, metrics: HttpMetrics, rules: ClientRules) -> None:
    """Add POST /v1/audio/speech.

    Parameters
    ----------
    app : FastAPI
        The application.
    backend : Backend
        The replicas.
    metrics : HttpMetrics
        Where speech is counted.
    rules : ClientRules
        Names of voices, and what becomes of text with nothing to speak.
    """
    document_models(app, AudioDelta, Timestamps, AudioDone)

    @app.post("/v1/audio/speech", tags=["speech"], response_class=Response, responses=SPEECH_RESPONSES | ERRORS)
    async def speech(body: SpeechRequest, cache_control: Annotated[str, Header()] = "") -> Response:
        """Synthesize text; the response is the audio file."""
        events = body.stream_format == "sse"
        if body.timestamps and not events:
            raise ApiError(HTTPStatus.BAD_REQUEST, "timestamps_need_events", TIMESTAMPS_NEED_EVENTS, param="timestamps")
        if body.loudness is not None and (events or body.stream):
            raise ApiError(HTTPStatus.BAD_REQUEST, "loudness_needs_whole", LOUDNESS_NEEDS_WHOLE, param="loudness")
        parsed = rules.allow_silence(parse_synthesis_request(body, body.input, ssml=body.ssml))
        resolved, notices = await rules.resolve_voice(parsed, backend)
        request = replace(
            resolved,
            audio_format=body.response_format,
            loudness=body.loudness,
            bypass_cache=is_cache_bypassed(cache_control),
            timestamps=body.timestamps,
        )
        needs_whole = body.response_format in FORMATS_WITH_LENGTH or body.loudness is not None
        streaming = not needs_whole if body.stream is None else body.stream
        notices = body.notices + notices
        try:
            if events or streaming:
                return await _stream_response(backend, metrics, request, notices, events=events)
            result = await synthesize(backend, metrics, request, "input")
        except SilentTextError:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        headers = _make_headers(result.head, notices) | _make_cost_headers(result.stats)
        return Response(result.audio, headers=headers, media_type=CONTENT_TYPES[result.head.audio_format])


def is_cache_bypassed(cache_control: str) -> bool:
    """Return whether a Cache-Control header of a request asks for new speech.

    Parameters
    ----------
    cache_control : str
        Value of the header; empty if there is none.

    Returns
    -------
    bool
        Whether it has `no-cache`.
    """
    return "no-cache" in cache_control.lower()


async def synthesize(backend: Backend, metrics: HttpMetrics, request: SynthesisRequest, param: str) -> SynthesisResult:
    """Synthesize a complete speech and count it.

    Parameters
    ----------
    backend : Backend
        The replicas.
    metrics : HttpMetrics
        Where it is counted.
    request : SynthesisRequest
        What to synthesize.
    param : str
        Field that the text came in, for errors.

    Returns
    -------
    SynthesisResult
        The complete speech.

    Raises
    ------
    ApiError
        If something is wrong with the request.
    AtCapacityError, UnavailableError
        As `Backend.synthesize`.
    """
    check_text(request.text, param)
    with metrics.in_progress.track_inprogress():
        result = await backend.synthesize(request)
    if isinstance(result, Refusal):
        raise make_refusal_error(result, param)
    metrics.record_speech(result.head, result.stats, len(request.text))
    current_span().set_attributes(**result.head.trace_attributes, streaming=False)
    return result


async def _stream_response(
    backend: Backend, metrics: HttpMetrics, request: SynthesisRequest, notices: tuple[Notice, ...], *, events: bool
) -> StreamingResponse:
    """Stream speech.

    A failure before the first chunk is reported as an error. A later one closes the connection, because the status has
    been sent: so the caller sees that the file is not complete.
    """
    check_text(request.text, "input")
    items = backend.stream(request)
    head = await anext(items)
    if isinstance(head, Refusal):
        raise make_refusal_error(head, "input")
    assert isinstance(head, SpeechHead)  # noqa: S101  # the first item of a stream
    current_span().set_attributes(**head.trace_attributes, streaming=True)

    async def iterate_body() -> AsyncIterator[bytes]:
        async with aclosing(items):
            with metrics.in_progress.track_inprogress():
                async for item in items:
                    if isinstance(item, SynthesisStats):
                        metrics.record_speech(head, item, len(request.text))
                    elif isinstance(item, bytes):
                        yield format_sse_event(AudioDelta.from_audio(item)) if events else item
                    elif isinstance(item, Times):
                        yield format_sse_event(Timestamps.from_times(item))
                if events:
                    yield format_sse_event(AudioDone.from_characters(len(request.text)))

    media_type = "text/event-stream" if events else CONTENT_TYPES[head.audio_format]
    return StreamingResponse(
        iterate_body(), headers=_make_headers(head, notices) | STREAM_HEADERS, media_type=media_type
    )


def _make_headers(head: SpeechHead, notices: tuple[Notice, ...]) -> dict[str, str]:
    return {
        "Content-Disposition": f'inline; filename="speech.{head.audio_format}"',
        "X-Voice": head.voice,
        "X-Revision": head.revision,
        "X-Sample-Rate": str(head.sample_rate),
        "X-Cache": f"hit; {head.cache_tier}" if head.cache_tier else "miss",
    } | make_notices_header(notices + head.notices)


def _make_cost_headers(stats: SynthesisStats) -> dict[str, str]:
    return {
        "X-Audio-Seconds": f"{stats.audio_seconds:.3f}",
        "X-Synthesis-Seconds": f"{stats.synthesis_seconds:.3f}",
        "X-Queue-Seconds": f"{stats.queue_seconds:.3f}",
    }
