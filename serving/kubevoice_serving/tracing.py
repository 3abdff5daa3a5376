"""OpenTelemetry traces of requests, sent where the standard environment variables say; without them nothing is loaded.

A request goes on with the trace of its caller (W3C Trace Context), and from the HTTP side to a replica the same headers
travel in the job. A trace has names, figures and revisions, and never the text nor a message that may quote it.
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

__all__ = ["Span", "current", "replica_span", "request_span", "tracer"]

logger = logging.getLogger(__name__)

HEADERS = ("traceparent", "tracestate")
TRACED = ("/v1/", "/api/")
"""Paths that are traced: probes and the web page's files would only hide the others."""
PROTOCOL = "http/protobuf"
ERRORS = 500
"""Statuses from this one on are our failure and not the caller's."""


class Span:
    """What takes time in a request. Without a span of OpenTelemetry's it keeps nothing."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty if there is no trace."""
        return format(self._span.get_span_context().trace_id, "032x") if self._span is not None else ""

    @property
    def carried(self) -> dict[str, str]:
        """The headers with which another process goes on with the trace."""
        carrier: dict[str, str] = {}
        if self._span is not None:
            _propagator().inject(carrier, self._context())
        return carrier

    def tell(self, **attributes: str | float) -> None:
        """Say more about it."""
        if self._span is not None:
            self._span.set_attributes(_named(attributes))

    def past(self, name: str, seconds: float, **attributes: str | float) -> None:
        """Keep a part of it that has just ended and took so long."""
        if self._span is not None:
            end = time.time_ns()
            begin = end - round(1e9 * seconds)
            tracer().start_span(name, self._context(), attributes=_named(attributes), start_time=begin).end(end)

    def answered(self, method: str, route: str, status: int) -> None:
        """Say what became of a request, in the words of OpenTelemetry's conventions for HTTP."""
        if self._span is None:
            return
        self._span.update_name(f"{method} {route}")
        told = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        self._span.set_attributes(told)
        if status >= ERRORS:
            _fail(self._span)

    def _context(self) -> Any:
        from opentelemetry.trace import set_span_in_context

        return set_span_in_context(self._span)


_current: ContextVar[Span] = ContextVar("span", default=Span())  # noqa: B039  # the one that keeps nothing


def current() -> Span:
    """Return the span of the HTTP request that is being served."""
    return _current.get()


@contextmanager
def request_span(scope: Scope, request_id: str) -> Iterator[Span]:
    """Trace a request to the HTTP side, whose ASGI scope it is, until this ends; meanwhile `current` returns it."""
    if tracer() is None or not scope["path"].startswith(TRACED):
        yield Span()
        return
    from opentelemetry.trace import SpanKind

    headers = Headers(scope=scope)
    carrier = {name: headers[name] for name in HEADERS if name in headers}
    with _begun("HTTP", carrier, SpanKind.SERVER) as span:
        span.tell(request_id=request_id)
        token = _current.set(span)
        try:
            yield span
        finally:
            _current.reset(token)


@contextmanager
def replica_span(name: str, carrier: Mapping[str, str]) -> Iterator[Span]:
    """Trace what a replica does for a request until this ends; `carrier` is what the HTTP side's span carried."""
    if not carrier or tracer() is None:
        yield Span()
        return
    from opentelemetry.trace import SpanKind

    with _begun(name, carrier, SpanKind.INTERNAL) as span:
        yield span


@contextmanager
def _begun(name: str, carrier: Mapping[str, str], kind: Any) -> Iterator[Span]:
    span = tracer().start_span(name, _propagator().extract(carrier), kind)
    try:
        yield Span(span)
    except Exception:
        _fail(span)
        raise
    finally:
        span.end()


def _fail(span: Any) -> None:
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR)


def _named(attributes: Mapping[str, str | float]) -> dict[str, str | float]:
    return {f"kubevoice.{name}": value for name, value in attributes.items()}


@cache
def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()


@cache
def tracer() -> Any:
    """Return what makes spans and sends them in a thread of its own; None if no traces are wanted.

    The first call takes time: make it before there are requests. Nothing that is wrong with the settings is raised,
    for speech does not depend on it; the log tells.
    """
    if not _wanted(os.environ):
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
        logger.warning("traces are asked for, but what sends them is missing: install kubevoice[tracing]")
        return None
    except Exception:
        logger.exception("traces are asked for, but cannot be sent: look at the OTEL_ variables")
        return None
    return provider.get_tracer("kubevoice", version("kubevoice"))


def _wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether the variables of OpenTelemetry's specification ask for traces, in a way that can be met."""

    def told(*names: str) -> str:
        return next((value for name in names if (value := environment.get(name, "").strip().lower())), "")

    endpoint = told("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    exporter = told("OTEL_TRACES_EXPORTER") or ("otlp" if endpoint else "none")
    if told("OTEL_SDK_DISABLED") == "true" or exporter == "none":
        return False
    protocol = told("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") or PROTOCOL
    if exporter != "otlp" or protocol != PROTOCOL:
        logger.warning("traces are sent by OTLP over %s only, not by %s over %s", PROTOCOL, exporter, protocol)
        return False
    return True
