"""The operator checks HTTP responses of pods, because users choose the images of pods."""

import asyncio
import threading
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kubevoice_operator.cluster import data_plane
from kubevoice_operator.cluster.data_plane import DataPlaneClient, parse_revisions

LENGTHS = {"/long": data_plane.MAX_BYTES, "/too-long": data_plane.MAX_BYTES + 1}
RESPONSE = b'{"replicas": [{"replica": "a", "voices": {"mei": "sha256:1"}}]}'


class Pod(BaseHTTPRequestHandler):
    """Sends a response that depends on the path."""

    def do_GET(self):
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/short")
            self.end_headers()
            return
        self.send_response(500 if self.path == "/error" else 200)
        self.end_headers()
        self.wfile.write(b"x" * LENGTHS.get(self.path, 9))

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def pod():
    with ThreadingHTTPServer(("127.0.0.1", 0), Pod) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@asynccontextmanager
async def open_client():
    client = DataPlaneClient()
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("path", "length"),
    [("/short", 9), ("/long", data_plane.MAX_BYTES), ("/too-long", None), ("/redirect", None), ("/error", None)],
)
def test_a_response_is_limited_in_length_and_no_redirect_is_followed(pod, path, length):
    async def send_request():
        async with open_client() as client:
            return await client._get(pod + path)

    body = asyncio.run(send_request())
    assert (body if body is None else len(body)) == length


def test_a_pod_that_does_not_exist_has_no_response():
    async def send_request():
        async with open_client() as client:
            return await client._get("http://127.0.0.1:1/")

    assert asyncio.run(send_request()) is None


def test_replicas_are_parsed():
    response = parse_revisions(RESPONSE)
    assert [(replica.replica, replica.voices) for replica in response.replicas] == [("a", {"mei": "sha256:1"})]


def test_unknown_fields_are_ignored_and_a_long_error_is_cut():
    newer = b'{"replicas": [{"replica": "a", "voices": {}, "age": 3, "error": "%b"}], "cluster": "x"}' % (b"e" * 5000)
    (replica,) = parse_revisions(newer).replicas
    assert replica.error == "e" * data_plane.MAX_ERROR


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"replicas": 3}',
        b'{"replicas": [3]}',
        b'{"replicas": [{"replica": "a", "voices": []}]}',
        *(
            RESPONSE[:-1] + b', "traffic": {"stable": {"requests": ' + counts + b"}}}"
            for counts in (
                b'"many"',
                b'-1, "errors": 0',
                b'1, "errors": 1' + b"0" * 400,
                b'1, "errors": 0, "p95Seconds": "slow"',
                b'1, "errors": 0, "p95Seconds": NaN',
            )
        ),
        b'{"replicas": ' + b"[" * 100_000,
    ],
)
def test_an_invalid_response_is_ignored(body):
    assert parse_revisions(body) is None
