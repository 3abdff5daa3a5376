"""The route that speaks: a file, a file that is sent while it is made, or events."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Response
from fastapi.responses import StreamingResponse
from kubevoice.audio.encode import CONTENT_TYPES
from kubevoice.engine.timing import Times

from kubevoice_serving.domain import Refusal, SpeechAnswer, SpeechEnd, SpeechHead, SpeechJob
from kubevoice_serving.http.errors import ERRORS, ApiError, refuse
from kubevoice_serving.http.events import (
    AudioDelta,
    AudioDone,
    Timestamps,
    add_models,
    delta,
    done,
    reference,
    server_sent,
    timestamps,
)
from kubevoice_serving.http.metrics import Metrics
from kubevoice_serving.http.request_parsing import check_text, job_of
from kubevoice_serving.http.schemas import SpeechRequest
from kubevoice_serving.routing.backend import Backend
from kubevoice_serving.tracing import current

__all__ = ["add_speech", "speak"]

WHOLE = ("wav", "flac")
"""Formats whose heads tell how long they are."""
TOLD = 8
"""Notices that a header holds."""
NEED_EVENTS = (
    "an audio file has no room for timestamps; set stream_format to sse for events that tell them, "
    "or send the same request to /v1/audio/subtitles"
)
NEEDS_WHOLE = "loudness is known once all is spoken; leave out stream and stream_format, or loudness"
SPOKEN: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK: {
        "description": "The file; with `sse`, events.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES.values()}
        | {"text/event-stream": {"schema": reference(AudioDelta, Timestamps, AudioDone)}},
    }
}


def add_speech(app: FastAPI, backend: Backend, metrics: Metrics) -> None:
    """Add POST /v1/audio/speech."""
    add_models(app, AudioDelta, Timestamps, AudioDone)

    @app.post("/v1/audio/speech", tags=["speech"], response_class=Response, responses=SPOKEN | ERRORS)
    async def speech(request: SpeechRequest, cache_control: Annotated[str, Header()] = "") -> Response:
        """Speak text; the answer is the audio file."""
        fresh = "no-cache" in cache_control.lower()
        events = request.stream_format == "sse"
        if request.timestamps and not events:
            raise ApiError(HTTPStatus.BAD_REQUEST, "timestamps_need_events", NEED_EVENTS, param="timestamps")
        if request.loudness is not None and (events or request.stream):
            raise ApiError(HTTPStatus.BAD_REQUEST, "loudness_needs_whole", NEEDS_WHOLE, param="loudness")
        job = replace(
            job_of(request, request.input, ssml=request.ssml),
            audio_format=request.response_format,
            loudness=request.loudness,
            fresh=fresh,
            timestamps=request.timestamps,
        )
        if events:
            return await _streamed(backend, metrics, job, events=True)
        whole = request.response_format in WHOLE or request.loudness is not None
        if not whole if request.stream is None else request.stream:
            return await _streamed(backend, metrics, job, events=False)
        answer = await speak(backend, metrics, job, "input")
        headers = _headers(answer.head) | _costs(answer.end)
        return Response(answer.audio, headers=headers, media_type=CONTENT_TYPES[answer.head.audio_format])


async def speak(backend: Backend, metrics: Metrics, job: SpeechJob, param: str) -> SpeechAnswer:
    """Have `job` spoken whole; ApiError for what is wrong with it, BusyError or UnavailableError as of a backend."""
    check_text(job.text, param)
    with metrics.in_progress.track_inprogress():
        answer = await backend.speak(job)
    if isinstance(answer, Refusal):
        raise refuse(answer, param)
    metrics.answered(answer.head, answer.end, len(job.text))
    current().tell(**answer.head.traced, streaming=False)
    return answer


async def _streamed(backend: Backend, metrics: Metrics, job: SpeechJob, *, events: bool) -> StreamingResponse:
    """Answer with speech while it is made. What goes wrong before its first piece is an error as any other.

    Later there is no status left to tell it with: the connection is cut, and the caller sees that the file is not all.
    """
    check_text(job.text, "input")
    items = backend.stream(job)
    head = await anext(items)
    if isinstance(head, Refusal):
        raise refuse(head, "input")
    assert isinstance(head, SpeechHead)  # noqa: S101  # so streams begin
    current().tell(**head.traced, streaming=True)

    async def pieces() -> AsyncIterator[bytes]:
        async with aclosing(items):
            with metrics.in_progress.track_inprogress():
                async for item in items:
                    if isinstance(item, SpeechEnd):
                        metrics.answered(head, item, len(job.text))
                    elif isinstance(item, bytes):
                        yield server_sent(delta(item)) if events else item
                    elif isinstance(item, Times):
                        yield server_sent(timestamps(item))
                if events:
                    yield server_sent(done(len(job.text)))

    media_type = "text/event-stream" if events else CONTENT_TYPES[head.audio_format]
    return StreamingResponse(pieces(), headers=_headers(head), media_type=media_type)


def _headers(head: SpeechHead) -> dict[str, str]:
    return {
        "Content-Disposition": f'inline; filename="speech.{head.audio_format}"',
        "X-Voice": head.voice,
        "X-Revision": head.revision,
        "X-Sample-Rate": str(head.sample_rate),
        "X-Cache": f"hit; {head.cached}" if head.cached else "miss",
    } | ({"X-Notices": json.dumps([asdict(one) for one in head.notices[:TOLD]])} if head.notices else {})


def _costs(end: SpeechEnd) -> dict[str, str]:
    return {
        "X-Audio-Seconds": f"{end.audio_seconds:.3f}",
        "X-Synthesis-Seconds": f"{end.synthesis_seconds:.3f}",
        "X-Queue-Seconds": f"{end.queue_seconds:.3f}",
    }
