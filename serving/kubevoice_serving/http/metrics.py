"""Prometheus metrics of the HTTP process, and the middleware that names, counts and traces requests."""

import logging
import time
import uuid
from contextlib import suppress
from http import HTTPStatus

from kubevoice.digests import short_digest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kubevoice_serving.domain import SpeechHead, SynthesisStats
from kubevoice_serving.http.access import KEY_NAME
from kubevoice_serving.http.errors import ApiError, make_error_response
from kubevoice_serving.http.websocket_errors import close_with_error, to_http_status
from kubevoice_serving.tracing import request_span

__all__ = ["HttpMetrics", "ObservabilityMiddleware"]

logger = logging.getLogger(__name__)

SECONDS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RATIO_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0)
VOICE_LABELS = ("voice", "revision")
"""A revision is shortened as `kubectl get vm` shows it."""
CLIENT_CLOSED_REQUEST = 499
"""The status that proxies log for a caller who left before the response."""


class HttpMetrics:
    """What /metrics shows. Each attribute but `registry` is a metric of that registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "kubevoice_requests", "Answered requests.", ["method", "route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "kubevoice_request_seconds",
            "Time from a request to the last byte of its response, which may wait for a slow caller.",
            ["route"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.key_requests = Counter(
            "kubevoice_key_requests", "Answered requests by the name of their API key.", ["key"], registry=registry
        )
        self.in_progress = Gauge(
            "kubevoice_speech_in_progress",
            "Speech requests that wait for a replica or are being synthesized.",
            registry=registry,
        )
        self.websocket_connections = Gauge(
            "kubevoice_websocket_connections", "Open WebSockets for incremental speech.", registry=registry
        )
        self.queue_seconds = Histogram(
            "kubevoice_queue_seconds",
            "Time in a replica before synthesis began.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.cache_requests = Counter(
            "kubevoice_cache_requests",
            "Speech requests by the tier of the response cache that answered them: memory, redis, or none (miss).",
            ["tier"],
            registry=registry,
        )
        self.first_audio_seconds = Histogram(
            "kubevoice_first_audio_seconds",
            "Time from a request's arrival at a replica to its first samples.",
            VOICE_LABELS,
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.synthesis_seconds = Histogram(
            "kubevoice_synthesis_seconds",
            "Time to synthesize and encode one request.",
            VOICE_LABELS,
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.audio_seconds = Counter(
            "kubevoice_audio_seconds", "Synthesized speech, in seconds of audio.", VOICE_LABELS, registry=registry
        )
        self.characters = Counter(
            "kubevoice_characters",
            "Characters of texts that were synthesized or answered from the cache.",
            VOICE_LABELS,
            registry=registry,
        )
        self.real_time_factor = Histogram(
            "kubevoice_real_time_factor",
            "Synthesis time over audio time of one request.",
            VOICE_LABELS,
            buckets=RATIO_BUCKETS,
            registry=registry,
        )

    def record_speech(self, head: SpeechHead, stats: SynthesisStats, characters: int) -> None:
        """Count a speech that was sent completely.

        Parameters
        ----------
        head : SpeechHead
            Its head.
        stats : SynthesisStats
            Its costs; ignored if it came from the response cache.
        characters : int
            Length of its text.
        """
        labels = head.voice, short_digest(head.revision)
        self.cache_requests.labels(head.cache_tier or "miss").inc()
        self.characters.labels(*labels).inc(characters)
        if not head.cache_tier:
            self._record_synthesis(labels, stats)

    def _record_synthesis(self, labels: tuple[str, str], stats: SynthesisStats) -> None:
        """Count what a replica synthesized."""
        self.queue_seconds.observe(stats.queue_seconds)
        self.first_audio_seconds.labels(*labels).observe(stats.first_audio_seconds)
        self.synthesis_seconds.labels(*labels).observe(stats.synthesis_seconds)
        self.audio_seconds.labels(*labels).inc(stats.audio_seconds)
        self.real_time_factor.labels(*labels).observe(stats.synthesis_seconds / stats.audio_seconds)


class ObservabilityMiddleware:
    """ASGI middleware: gives each request an id, counts and traces its response, and answers unexpected errors.

    Parameters
    ----------
    app : ASGIApp
        The application behind it.
    metrics : HttpMetrics
        Where responses are counted.
    name_responses : bool
        Whether to write the id of a request into the header of its response. Ray's HTTP server does that itself.
    """

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, *, name_responses: bool) -> None:
        self._app = app
        self._metrics = metrics
        # Nothing but us names the handshake of a WebSocket.
        self._named = ("http.response.start", "websocket.accept") if name_responses else ("websocket.accept",)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get("x-request-id", "")[:128] or uuid.uuid4().hex
        status, began, complete = 0, time.monotonic(), False

        async def send_with_id(message: Message) -> None:
            nonlocal status, complete
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "websocket.close":
                status = to_http_status(message["code"])
            if message["type"] in self._named:
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with request_span(scope, request_id) as span:
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                key_name, trace = scope.get(KEY_NAME), f" (trace {span.trace_id})" if span.trace_id else ""
                logger.exception("request %s%s of %s to %s failed", request_id, trace, key_name, scope["path"])
                if not status:
                    await _send_internal_error(request_id, scope, receive, send_with_id)
            finally:
                method, route = scope.get("method", "WEBSOCKET"), getattr(scope.get("route"), "path", "unknown")
                status, seconds = status or CLIENT_CLOSED_REQUEST, time.monotonic() - began
                self._metrics.requests.labels(method, route, status).inc()
                if scope["type"] == "http":  # the caller decides how long a WebSocket lasts
                    self._metrics.request_seconds.labels(route).observe(seconds)
                    _log_end(request_id, scope["path"], seconds, complete=complete)
                if key_name := scope.get(KEY_NAME):
                    self._metrics.key_requests.labels(key_name).inc()
                span.set_response(method, route, status)


def _log_end(request_id: str, path: str, seconds: float, *, complete: bool) -> None:
    """Log a caller who left before the end of the response; that is no error."""
    if not complete:
        logger.debug("request %s to %s: the caller left after %.1f s", request_id, path, seconds)


async def _send_internal_error(request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that has had no response yet."""
    message = f"an internal error occurred; the log has it under request id {request_id}"
    error = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)
    if scope["type"] == "websocket":
        with suppress(OSError):  # the caller has gone
            await close_with_error(send, error)
    else:
        await make_error_response(scope["path"], error)(scope, receive, send)
