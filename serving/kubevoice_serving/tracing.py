"""OpenTelemetry traces of requests, sent where the standard environment variables say; without them nothing is loaded.

A request continues the trace of its caller (W3C Trace Context), and the same headers travel in the SynthesisRequest to
the replica. A span has names, numbers and revisions, and never the text or a message that may quote it.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import version
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

__all__ = ["Span", "current_span", "get_tracer", "replica_span", "request_span"]

logger = logging.getLogger(__name__)

HEADERS = ("traceparent", "tracestate")
TRACED = ("/v1/", "/api/")
"""Paths that are traced. Probes and the files of the web page would only hide the others."""
PROTOCOL = "http/protobuf"
ERROR_STATUS = 500
"""Statuses from this one on are the server's failure and not the caller's."""


class Span:
    """A span of OpenTelemetry, or nothing if the request is not traced; then every method does nothing.

    Parameters
    ----------
    span : opentelemetry.trace.Span or None
        The span that is written to.
    """

    def __init__(self, span: Any = None) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty if the request is not traced."""
        return format(self._span.get_span_context().trace_id, "032x") if self._span is not None else ""

    @property
    def propagation_headers(self) -> dict[str, str]:
        """W3C Trace Context headers with which another process continues the trace; empty if there is none."""
        carrier: dict[str, str] = {}
        if self._span is not None:
            _propagator().inject(carrier, self._context())
        return carrier

    def set_attributes(self, **attributes: str | float) -> None:
        """Set attributes; each gets the prefix `kubevoice.`."""
        if self._span is not None:
            self._span.set_attributes(_prefix(attributes))

    def add_child(self, name: str, seconds: float, **attributes: str | float) -> None:
        """Add a child span that ends now.

        Parameters
        ----------
        name : str
            Name of the part of the work.
        seconds : float
            How long it took.
        **attributes : str or float
            As for `set_attributes`.
        """
        if self._span is not None:
            end = time.time_ns()
            begin = end - round(1e9 * seconds)
            get_tracer().start_span(name, self._context(), attributes=_prefix(attributes), start_time=begin).end(end)

    def set_response(self, method: str, route: str, status: int) -> None:
        """Name the span and set its status after a response, by OpenTelemetry's semantic conventions for HTTP.

        Parameters
        ----------
        method : str
            HTTP method, or WEBSOCKET.
        route : str
            Path template of the route.
        status : int
            HTTP status; 500 and above mark the span as failed.
        """
        if self._span is None:
            return
        self._span.update_name(f"{method} {route}")
        attributes = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        self._span.set_attributes(attributes)
        if status >= ERROR_STATUS:
            _mark_failed(self._span)

    def _context(self) -> Any:
        from opentelemetry.trace import set_span_in_context

        return set_span_in_context(self._span)


_current: ContextVar[Span] = ContextVar("span", default=Span())  # noqa: B039  # the default keeps no state
"""The span of the request; set and reset by `request_span`."""


def current_span() -> Span:
    """Return the span of the HTTP request that is being served.

    Returns
    -------
    Span
        The span; one that does nothing outside a request.
    """
    return _current.get()


@contextmanager
def request_span(scope: Scope, request_id: str) -> Iterator[Span]:
    """Trace a request to the HTTP process until the context ends; meanwhile `current_span` returns its span.

    Parameters
    ----------
    scope : Scope
        The ASGI scope of the request. A `traceparent` header in it is continued.
    request_id : str
        The value of `X-Request-Id`.

    Yields
    ------
    Span
        The request's span.
    """
    if get_tracer() is None or not scope["path"].startswith(TRACED):
        yield Span()
        return
    from opentelemetry.trace import SpanKind

    headers = Headers(scope=scope)
    carrier = {name: headers[name] for name in HEADERS if name in headers}
    with _start_span("HTTP", carrier, SpanKind.SERVER) as span:
        span.set_attributes(request_id=request_id)
        token = _current.set(span)
        try:
            yield span
        finally:
            _current.reset(token)


@contextmanager
def replica_span(name: str, carrier: Mapping[str, str]) -> Iterator[Span]:
    """Trace what a replica does for a request until the context ends.

    Parameters
    ----------
    name : str
        Name of the span.
    carrier : mapping of str to str
        `propagation_headers` of the HTTP process's span; empty if the request is not traced.

    Yields
    ------
    Span
        The replica's span.
    """
    if not carrier or get_tracer() is None:
        yield Span()
        return
    from opentelemetry.trace import SpanKind

    with _start_span(name, carrier, SpanKind.INTERNAL) as span:
        yield span


@contextmanager
def _start_span(name: str, carrier: Mapping[str, str], kind: Any) -> Iterator[Span]:
    span = get_tracer().start_span(name, _propagator().extract(carrier), kind)
    try:
        yield Span(span)
    except Exception:
        _mark_failed(span)
        raise
    finally:
        span.end()


def _mark_failed(span: Any) -> None:
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR)


def _prefix(attributes: Mapping[str, str | float]) -> dict[str, str | float]:
    return {f"kubevoice.{name}": value for name, value in attributes.items()}


@cache
def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()


@cache
def get_tracer() -> Any:
    """Return the tracer, which sends spans from a thread of its own.

    The first call takes time, so make it before there are requests. Wrong settings are logged and never raised, because
    speech does not depend on tracing.

    Returns
    -------
    opentelemetry.trace.Tracer or None
        None if the environment asks for no traces, or if they cannot be sent.
    """
    if not _is_enabled(os.environ):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": "kubevoice"}).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ImportError:
        logger.warning("traces are configured, but the exporter is not installed: install kubevoice[tracing]")
        return None
    except Exception:
        logger.exception("traces are configured, but cannot be sent: check the OTEL_ variables")
        return None
    return provider.get_tracer("kubevoice", version("kubevoice"))


def _is_enabled(environment: Mapping[str, str]) -> bool:
    """Return whether the variables of OpenTelemetry's specification ask for traces in a way that is supported."""

    def read(*names: str) -> str:
        return next((value for name in names if (value := environment.get(name, "").strip().lower())), "")

    endpoint = read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    exporter = read("OTEL_TRACES_EXPORTER") or ("otlp" if endpoint else "none")
    if read("OTEL_SDK_DISABLED") == "true" or exporter == "none":
        return False
    protocol = read("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") or PROTOCOL
    if exporter != "otlp" or protocol != PROTOCOL:
        logger.warning("traces are sent by OTLP over %s only, not by %s over %s", PROTOCOL, exporter, protocol)
        return False
    return True
