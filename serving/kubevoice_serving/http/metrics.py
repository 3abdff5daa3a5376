"""Prometheus metrics of the HTTP process, and the middleware that names and counts requests."""

import logging
import time
import uuid
from contextlib import suppress
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kubevoice_serving.domain import SpeechEnd, SpeechHead
from kubevoice_serving.http.access import KEY_NAME
from kubevoice_serving.http.errors import ApiError, answer
from kubevoice_serving.http.websocket_errors import close, status_of
from kubevoice_serving.tracing import request_span

__all__ = ["Metrics", "Observer"]

logger = logging.getLogger(__name__)

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BY = ("voice", "revision")
REVISION_LENGTH = 12
"""As `kubectl get vm` shows them."""
RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0)


class Metrics:
    """What /metrics shows."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "kubevoice_requests", "Answered requests.", ["method", "route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "kubevoice_request_seconds",
            "Time from a request to the last byte of its answer, which may wait for a slow caller.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.key_requests = Counter(
            "kubevoice_key_requests", "Answered requests by the name of their API key.", ["key"], registry=registry
        )
        self.in_progress = Gauge(
            "kubevoice_speech_in_progress",
            "Speech requests waiting for a replica or being spoken.",
            registry=registry,
        )
        self.conversations = Gauge(
            "kubevoice_conversations", "Open WebSockets for text that comes bit by bit.", registry=registry
        )
        self.queue_seconds = Histogram(
            "kubevoice_queue_seconds",
            "Wait in a replica before speech began.",
            buckets=SECONDS,
            registry=registry,
        )
        self.phrases = Counter(
            "kubevoice_phrases",
            "Speech requests by what remembered them: memory, redis, or none (miss).",
            ["tier"],
            registry=registry,
        )
        self.first_audio_seconds = Histogram(
            "kubevoice_first_audio_seconds",
            "Time in a replica until the first samples of a request were there.",
            BY,
            buckets=SECONDS,
            registry=registry,
        )
        self.synthesis_seconds = Histogram(
            "kubevoice_synthesis_seconds",
            "Time to synthesise and encode one request.",
            BY,
            buckets=SECONDS,
            registry=registry,
        )
        self.audio_seconds = Counter(
            "kubevoice_audio_seconds", "Speech produced, in seconds of audio.", BY, registry=registry
        )
        self.characters = Counter(
            "kubevoice_characters", "Characters of what was spoken, or remembered.", BY, registry=registry
        )
        self.real_time_factor = Histogram(
            "kubevoice_real_time_factor",
            "Synthesis time over audio time of one request.",
            BY,
            buckets=RATIOS,
            registry=registry,
        )

    def answered(self, head: SpeechHead, end: SpeechEnd, characters: int) -> None:
        """Count one answer, to a text of so many characters."""
        by = head.voice, head.revision.removeprefix("sha256:")[:REVISION_LENGTH]
        self.phrases.labels(head.cached or "miss").inc()
        self.characters.labels(*by).inc(characters)
        if not head.cached:
            self._spoke(by, end)

    def _spoke(self, by: tuple[str, str], end: SpeechEnd) -> None:
        """Count one answer of a replica."""
        self.queue_seconds.observe(end.queue_seconds)
        self.first_audio_seconds.labels(*by).observe(end.first_audio_seconds)
        self.synthesis_seconds.labels(*by).observe(end.synthesis_seconds)
        self.audio_seconds.labels(*by).inc(end.audio_seconds)
        self.real_time_factor.labels(*by).observe(end.synthesis_seconds / end.audio_seconds)


class Observer:
    """ASGI middleware: names each request, counts and traces its answer, answers the unforeseen."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get("x-request-id", "")[:128] or uuid.uuid4().hex
        status, began = 0, time.monotonic()

        async def named_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "websocket.close":
                status = status_of(message["code"])
            if message["type"] in ("http.response.start", "websocket.accept"):
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with request_span(scope, request_id) as span:
            try:
                await self._app(scope, receive, named_send)
            except Exception:
                who, trace = scope.get(KEY_NAME), f" (trace {span.trace_id})" if span.trace_id else ""
                logger.exception("request %s%s of %s to %s failed", request_id, trace, who, scope["path"])
                if not status:
                    await _fail(request_id, scope, receive, named_send)
            finally:
                method, route = scope.get("method", "WEBSOCKET"), getattr(scope.get("route"), "path", "unknown")
                # A caller who left before the answer has no status; 499 is what proxies log for that.
                self._metrics.requests.labels(method, route, status or 499).inc()
                if scope["type"] == "http":  # a conversation lasts as long as its caller likes
                    self._metrics.request_seconds.labels(route).observe(time.monotonic() - began)
                if name := scope.get(KEY_NAME):
                    self._metrics.key_requests.labels(name).inc()
                span.answered(method, route, status or 499)


async def _fail(request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that nothing has answered."""
    message = f"an internal error occurred; the log names it by request id {request_id}"
    error = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)
    if scope["type"] == "websocket":
        with suppress(OSError):  # the caller has gone
            await close(send, error)
    else:
        await answer(scope["path"], error)(scope, receive, send)
