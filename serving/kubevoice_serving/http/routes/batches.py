"""Many texts at once: one ZIP file with a file for each, and a manifest that tells what could not be spoken."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import StreamingResponse

from kubevoice_serving.domain import SpeechAnswer, SpeechJob
from kubevoice_serving.http.access import Access
from kubevoice_serving.http.batch_manifest import BatchManifest, BatchRequest, BatchResult, NotUnderstood
from kubevoice_serving.http.errors import ERRORS, ApiError, api_error, invalid_value, told
from kubevoice_serving.http.events import add_models
from kubevoice_serving.http.metrics import Metrics
from kubevoice_serving.http.request_parsing import check_text, job_of
from kubevoice_serving.http.routes.speech import speak
from kubevoice_serving.http.zip_stream import Archive
from kubevoice_serving.routing.backend import Backend, BusyError, UnavailableError

__all__ = ["add_batch"]

MAX_BATCH_CHARACTERS = 16_384
AT_ONCE = 4
"""Items that are being spoken, or wait for the one before them to be sent."""
PATIENCE_SECONDS = 30.0
"""Whoever waits for a single answer goes before an item that came less than this before."""
BUSY_SECONDS = 60.0
"""How long an item waits while every replica is busy."""
ZIP: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK: {
        "description": "A ZIP file: ID.FORMAT for each item that could be spoken, and last manifest.json, "
        "a BatchManifest.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def add_batch(app: FastAPI, backend: Backend, metrics: Metrics, access: Access) -> None:
    """Add POST /v1/audio/speech/batch."""
    add_models(app, BatchManifest)

    @app.post("/v1/audio/speech/batch", tags=["speech"], response_class=Response, responses=ZIP | ERRORS)
    async def batch(
        request: BatchRequest, asked: Request, cache_control: Annotated[str, Header()] = ""
    ) -> StreamingResponse:
        """Speak many texts; what is wrong with one of them fails no other."""
        wanted = _wanted(request, fresh="no-cache" in cache_control.lower())
        access.charge(asked.scope, len(wanted) - 1)  # one was counted when it came
        headers = {"Content-Disposition": 'attachment; filename="speech.zip"'}
        return StreamingResponse(_zipped(backend, metrics, wanted), headers=headers, media_type="application/zip")


Wanted = list[tuple[str, SpeechJob | ApiError]]
"""The id of each item, and what it asks for or what is wrong with it."""


def _wanted(request: BatchRequest, *, fresh: bool) -> Wanted:
    """Check the items. Raises ApiError if they are too much in all."""
    total = sum(len(item.input) for item in request.items if not isinstance(item, NotUnderstood))
    if total > MAX_BATCH_CHARACTERS:
        message = f"the items have {total} characters; at most {MAX_BATCH_CHARACTERS} are taken at once: send fewer"
        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text_too_long", message, param="items")
    found: Wanted = []
    taken: set[str] = set()
    for number, item in enumerate(request.items, 1):
        name = item.id or f"{number:03}"
        try:
            if isinstance(item, NotUnderstood):
                raise invalid_value(item.faults)
            if name.casefold() in taken:
                raise invalid_value([("id", f"another item is called {name!r}, too; give each a name of its own")])
            check_text(item.input, "input")
            job = job_of(item, item.input, ssml=item.ssml)
            job = replace(job, audio_format=item.response_format, loudness=item.loudness, fresh=fresh)
            found.append((name, job))
        except ApiError as error:
            found.append((name, error))
        taken.add(name.casefold())
    return found


async def _zipped(backend: Backend, metrics: Metrics, wanted: Wanted) -> AsyncIterator[bytes]:
    archive, results = Archive(), []
    waiting, made = deque(wanted), deque[asyncio.Task[SpeechAnswer | ApiError]]()
    try:
        for name, _ in wanted:
            while waiting and len(made) < AT_ONCE:
                made.append(asyncio.create_task(_made(backend, metrics, waiting.popleft()[1])))
            answer = await made[0]
            made.popleft()  # not before: whoever leaves ends this one, too
            results.append(_result(name, answer))
            if isinstance(answer, SpeechAnswer):
                yield archive.add(results[-1].file or name, answer.audio)
        succeeded = sum(one.error is None for one in results)
        manifest = BatchManifest(
            total=len(results), succeeded=succeeded, failed=len(results) - succeeded, items=results
        )
        yield archive.add("manifest.json", manifest.model_dump_json(indent=2).encode()) + archive.finish()
    finally:
        archive.close()
        for task in made:
            task.cancel()


async def _made(backend: Backend, metrics: Metrics, wanted: SpeechJob | ApiError) -> SpeechAnswer | ApiError:
    """Speak one item. A batch is in no hurry: it waits for a replica, and lets others go first."""
    if isinstance(wanted, ApiError):
        return wanted
    job = replace(wanted, patience=PATIENCE_SECONDS)
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return await speak(backend, metrics, job, "input")
        except ApiError as error:
            return error
        except UnavailableError as error:
            return api_error(error)
        except BusyError as error:
            if time.monotonic() > until:
                return api_error(error)
            await asyncio.sleep(error.retry_after)


def _result(name: str, answer: SpeechAnswer | ApiError) -> BatchResult:
    if isinstance(answer, ApiError):
        return BatchResult(id=name, status=answer.status, error=told(answer))
    head = answer.head
    return BatchResult(
        id=name,
        status=HTTPStatus.OK,
        file=f"{name}.{head.audio_format}",
        voice=head.voice,
        revision=head.revision,
        sample_rate=head.sample_rate,
        audio_seconds=answer.end.audio_seconds,
        notices=[asdict(one) for one in head.notices],
    )
