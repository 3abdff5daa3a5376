"""A collector of OpenTelemetry traces: OTLP over HTTP on a port of loopback."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from testcluster.tools import wait_for


class TraceCollector:
    """A server that stores the spans that it receives, each with the attributes of its resource."""

    def __init__(self):
        self.spans, self.raw = [], b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.add_spans(self.path, body)
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

    def add_spans(self, path, body):
        assert path == "/v1/traces"
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource_attributes = read_attributes(resource.resource)
            self.spans += [(span, resource_attributes) for scope in resource.scope_spans for span in scope.spans]

    def trace(self, trace_id):
        return [span for span, _ in self.spans if span.trace_id.hex() == trace_id]

    def wait(self, trace_id, *names):
        """Wait until a trace has spans of these names; return its spans."""
        read_names = lambda: {span.name for span in self.trace(trace_id)}  # noqa: E731
        wait_for(f"{names} of trace {trace_id}", lambda: {*names} <= read_names(), 30, lambda: str(read_names()))
        return self.trace(trace_id)


def read_attributes(record):
    """Return the attributes of a span or resource as a dict."""
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in record.attributes}
