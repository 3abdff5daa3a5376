"""The route for batches: many texts in one request, a ZIP file with a file for each and a manifest in return."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import StreamingResponse
from kubevoice.text.ssml import Notice

from kubevoice_serving.domain import AtCapacityError, SynthesisRequest, SynthesisResult, UnavailableError
from kubevoice_serving.http.access import AccessControl
from kubevoice_serving.http.batch_manifest import (
    BatchItem,
    BatchItemResult,
    BatchRequest,
    BatchResultManifest,
    InvalidBatchItem,
)
from kubevoice_serving.http.client_rules import ClientRules
from kubevoice_serving.http.errors import (
    ERRORS,
    ApiError,
    SilentTextError,
    make_error_body,
    make_invalid_value_error,
    make_retry_error,
)
from kubevoice_serving.http.events import document_models
from kubevoice_serving.http.metrics import HttpMetrics
from kubevoice_serving.http.request_parsing import check_text, parse_synthesis_request
from kubevoice_serving.http.routes.speech import STREAM_HEADERS, is_cache_bypassed, synthesize
from kubevoice_serving.http.zip_stream import ZipStream
from kubevoice_serving.routing.backend import Backend

__all__ = ["add_batch_route"]

MAX_BATCH_CHARACTERS = 16_384
CONCURRENCY = 4
"""Items that are being synthesized, or wait for the one before them to be sent."""
DUE_SECONDS = 30.0
"""When an item is due after its arrival: single requests that arrive within this time go first."""
AT_CAPACITY_SECONDS = 60.0
"""How long an item is tried again while all replicas are at capacity."""
ZIP: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK: {
        "description": "A ZIP file: ID.FORMAT for each item that could be synthesized, and last manifest.json, "
        "a BatchResultManifest.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}
ParsedItem = tuple[str, SynthesisRequest | ApiError, tuple[Notice, ...]]
"""The id of an item, its request or what is wrong with it, and what of it has no effect."""


def add_batch_route(
    app: FastAPI, backend: Backend, metrics: HttpMetrics, access: AccessControl, rules: ClientRules
) -> None:
    """Add POST /v1/audio/speech/batch.

    Parameters
    ----------
    app : FastAPI
        The application.
    backend : Backend
        The replicas.
    metrics : HttpMetrics
        Where speech is counted.
    access : AccessControl
        Where each item counts as a request.
    rules : ClientRules
        Names of voices, and what becomes of text with nothing to speak.
    """
    document_models(app, BatchResultManifest)

    @app.post("/v1/audio/speech/batch", tags=["speech"], response_class=Response, responses=ZIP | ERRORS)
    async def batch(
        body: BatchRequest, http_request: Request, cache_control: Annotated[str, Header()] = ""
    ) -> StreamingResponse:
        """Synthesize many texts; an error of one text does not affect the others."""
        items = _parse_items(body, bypass_cache=is_cache_bypassed(cache_control))
        access.charge(http_request.scope, len(items) - 1)  # one was counted when it was admitted
        headers = {"Content-Disposition": 'attachment; filename="speech.zip"'} | STREAM_HEADERS
        items = [await _apply_rules(item, rules, backend) for item in items]
        return StreamingResponse(_iterate_zip(backend, metrics, items), headers=headers, media_type="application/zip")


def _parse_items(body: BatchRequest, *, bypass_cache: bool) -> list[ParsedItem]:
    """Check the items. Raises ApiError if they have too many characters together."""
    total = sum(len(item.input) for item in body.items if not isinstance(item, InvalidBatchItem))
    if total > MAX_BATCH_CHARACTERS:
        message = f"the items have {total} characters; send at most {MAX_BATCH_CHARACTERS} in one request"
        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text_too_long", message, param="items")
    items: list[ParsedItem] = []
    used_names: set[str] = set()
    for number, item in enumerate(body.items, 1):
        name = item.id or f"{number:03}"
        try:
            request, notices = _parse_item(item, name, used_names, bypass_cache=bypass_cache)
            items.append((name, request, notices))
        except ApiError as error:
            items.append((name, error, ()))
        used_names.add(name.casefold())
    return items


def _parse_item(
    item: BatchItem | InvalidBatchItem, name: str, used_names: set[str], *, bypass_cache: bool
) -> tuple[SynthesisRequest, tuple[Notice, ...]]:
    """Return the request of an item, and what of it has no effect. Raises ApiError for what is wrong with it."""
    if isinstance(item, InvalidBatchItem):
        raise make_invalid_value_error(item.faults)
    if name.casefold() in used_names:
        raise make_invalid_value_error([("id", f"another item has the id {name!r}, too; give each item its own id")])
    check_text(item.input, "input")
    request = replace(
        parse_synthesis_request(item, item.input, ssml=item.ssml),
        audio_format=item.response_format,
        loudness=item.loudness,
        bypass_cache=bypass_cache,
        due_seconds=DUE_SECONDS,
    )
    return request, item.notices


async def _apply_rules(item: ParsedItem, rules: ClientRules, backend: Backend) -> ParsedItem:
    name, request, notices = item
    if isinstance(request, ApiError):
        return item
    resolved, more = await rules.resolve_voice(rules.allow_silence(request), backend)
    return name, resolved, notices + more


async def _iterate_zip(backend: Backend, metrics: HttpMetrics, items: list[ParsedItem]) -> AsyncIterator[bytes]:
    """Yield the ZIP file during synthesis: items in their order, CONCURRENCY of them at a time."""
    zip_stream, results = ZipStream(), []
    waiting, tasks = deque(items), deque[asyncio.Task[SynthesisResult | ApiError]]()
    try:
        for name, _, notices in items:
            while waiting and len(tasks) < CONCURRENCY:
                tasks.append(asyncio.create_task(_synthesize_item(backend, metrics, waiting.popleft()[1])))
            outcome = await tasks[0]
            tasks.popleft()  # not before it is done: if the caller leaves, it is cancelled below
            results.append(_make_item_result(name, outcome, notices))
            if isinstance(outcome, SynthesisResult):
                yield zip_stream.add_entry(results[-1].file or name, outcome.audio)
        succeeded = sum(result.error is None for result in results)
        manifest = BatchResultManifest(
            total=len(results), succeeded=succeeded, failed=len(results) - succeeded, items=results
        )
        entry = zip_stream.add_entry("manifest.json", manifest.model_dump_json(indent=2).encode())
        yield entry + zip_stream.finish()
    finally:
        zip_stream.close()
        for task in tasks:
            task.cancel()


async def _synthesize_item(
    backend: Backend, metrics: HttpMetrics, request: SynthesisRequest | ApiError
) -> SynthesisResult | ApiError:
    """Synthesize one item. It waits while all replicas are at capacity, because a batch is not urgent."""
    if isinstance(request, ApiError):
        return request
    give_up = time.monotonic() + AT_CAPACITY_SECONDS
    while True:
        try:
            return await synthesize(backend, metrics, request, "input")
        except ApiError as error:
            return error
        except UnavailableError as error:
            return make_retry_error(error)
        except AtCapacityError as error:
            if time.monotonic() > give_up:
                return make_retry_error(error)
            await asyncio.sleep(error.retry_after)


def _make_item_result(name: str, outcome: SynthesisResult | ApiError, notices: tuple[Notice, ...]) -> BatchItemResult:
    if isinstance(outcome, SilentTextError):
        return BatchItemResult(id=name, status=HTTPStatus.NO_CONTENT)
    if isinstance(outcome, ApiError):
        return BatchItemResult(id=name, status=outcome.status, error=make_error_body(outcome))
    head = outcome.head
    return BatchItemResult(
        id=name,
        status=HTTPStatus.OK,
        file=f"{name}.{head.audio_format}",
        voice=head.voice,
        revision=head.revision,
        sample_rate=head.sample_rate,
        audio_seconds=outcome.stats.audio_seconds,
        notices=[asdict(notice) for notice in notices + head.notices],
    )
