"""Requests of the local backend to a server on this machine."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from kubevoice_operator.local.http import request


class Handler(BaseHTTPRequestHandler):
    """Answers /json with JSON, and /text with an error that is not JSON."""

    def do_GET(self):
        status, body = {"/json": (200, b'{"a": 1}'), "/text": (500, "坏了".encode())}[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def port():
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("path", "response"), [("/json", (200, {"a": 1})), ("/text", (500, "坏了"))])
def test_an_error_that_is_not_json_is_returned_as_text(port, path, response):
    assert request(port, "GET", path) == response
