"""A running stage's HTTP server: /progress for the operator, /metrics for Prometheus, /healthz.

No stage depends on it: one whose port is taken runs without it.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kubevoice.resources.stages import Progress
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from kubevoice_training.runtime.progress import ProgressFile

__all__ = ["serve_telemetry"]

CLIENT_SECONDS = 10.0
"""A client that sends nothing for this long is dropped."""

HttpResponse = tuple[HTTPStatus, str, bytes]
"""Status, content type and body."""

METRICS = {
    "step": "Items done in prepare and release, optimizer steps in train.",
    "total": "Steps there are.",
    "percent": "Share done.",
    "loss": "Loss of the last step.",
    "dev_loss": "Loss on held-out clips.",
    "eta_seconds": "Time left.",
}


class _ProgressCollector(Collector):
    """The latest progress as Prometheus metrics, read at each scrape."""

    def __init__(self, progress: ProgressFile) -> None:
        self._progress = progress

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        latest = self._progress.latest
        if latest is None:
            return
        for name, meaning in METRICS.items():
            value = getattr(latest, name)
            if value is not None:
                family = GaugeMetricFamily(f"kubevoice_stage_{name}", meaning, labels=["stage"])
                family.add_metric([str(latest.stage)], value)
                yield family


class _Server(ThreadingHTTPServer):
    """Listens on every IPv4 and IPv6 address of the pod."""

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, progress: ProgressFile) -> None:
        self.progress = progress
        self.registry = CollectorRegistry()
        self.registry.register(_ProgressCollector(progress))
        ProcessCollector(registry=self.registry)
        super().__init__(("", port), _Handler)

    @override
    def server_bind(self) -> None:
        if self.address_family is socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: that a client closed its connection is of no interest."""

    def respond(self, path: str) -> HttpResponse:
        """Return the response to a GET of `path`."""
        match path.partition("?")[0]:
            case "/healthz":
                return HTTPStatus.OK, "text/plain", b"ok\n"
            case "/progress":
                return _progress_response(self.progress.latest)
            case "/metrics":
                return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.registry)
            case _:
                return HTTPStatus.NOT_FOUND, "text/plain", b"there are /progress, /metrics and /healthz\n"


def _progress_response(latest: Progress | None) -> HttpResponse:
    if latest is None:
        return HTTPStatus.NO_CONTENT, "application/json", b""
    return HTTPStatus.OK, "application/json", latest.model_dump_json(by_alias=True).encode()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Server
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        """Answer a GET."""
        status, kind, body = self.server.respond(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Keep the requests out of the stage's log."""


@contextmanager
def serve_telemetry(port: int | None, progress: ProgressFile) -> Iterator[None]:
    """Serve the stage's progress over HTTP while the block runs.

    Parameters
    ----------
    port
        TCP port; None for no server. If it cannot be opened, that is logged and there is no server.
    progress
        What is served; the stage updates it.

    Yields
    ------
    None
        Nothing.
    """
    if port is None:
        yield
        return
    try:
        server = _Server(port, progress)
    except (OSError, OverflowError) as error:
        print(f"progress is not served over HTTP: port {port}: {error}", flush=True)
        yield
        return
    threading.Thread(target=server.serve_forever, name="telemetry", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
