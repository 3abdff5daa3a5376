"""A collector of OpenTelemetry traces: OTLP over HTTP on a port of loopback."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from testcluster.tools import wait_for


class TraceCollector:
    """Keeps every span that it is sent: names, ids, attributes and resources."""

    def __init__(self):
        self.spans, self.raw = [], b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def take(self, path, body):
        assert path == "/v1/traces"
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            of = attributes(resource.resource)
            self.spans += [(span, of) for scope in resource.scope_spans for span in scope.spans]

    def trace(self, trace_id):
        return [span for span, _ in self.spans if span.trace_id.hex() == trace_id]

    def wait(self, trace_id, *names):
        """Wait until a trace has spans of these names; return its spans."""
        there = lambda: {span.name for span in self.trace(trace_id)}  # noqa: E731
        wait_for(f"{names} of trace {trace_id}", lambda: {*names} <= there(), 30, lambda: str(there()))
        return self.trace(trace_id)


def attributes(thing):
    """The attributes of a span or resource."""
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in thing.attributes}
