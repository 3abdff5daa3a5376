"""What pods say over HTTP is taken with care: users choose what runs in them."""

import asyncio
import threading
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kubevoice_operator.cluster import data_plane
from kubevoice_operator.cluster.data_plane import DataPlaneClient, parse_revisions

LENGTHS = {"/long": data_plane.MAX_BYTES, "/endless": data_plane.MAX_BYTES + 1}
SAID = b'{"replicas": [{"replica": "a", "voices": {"mei": "sha256:1"}}]}'


class Pod(BaseHTTPRequestHandler):
    """Answers by its path."""

    def do_GET(self):
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/fine")
            self.end_headers()
            return
        self.send_response(500 if self.path == "/ill" else 200)
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
    [("/fine", 9), ("/long", data_plane.MAX_BYTES), ("/endless", None), ("/redirect", None), ("/ill", None)],
)
def test_an_answer_is_read_whole_or_not_at_all_and_no_redirect_is_followed(pod, path, length):
    async def ask():
        async with open_client() as client:
            return await client._get(pod + path)

    answers = asyncio.run(ask())
    assert (answers if answers is None else len(answers)) == length


def test_a_pod_that_is_not_there_says_nothing():
    async def ask():
        async with open_client() as client:
            return await client._get("http://127.0.0.1:1/")

    assert asyncio.run(ask()) is None


def test_replicas_are_heard():
    response = parse_revisions(SAID)
    assert [(replica.replica, replica.voices) for replica in response.replicas] == [("a", {"mei": "sha256:1"})]


def test_a_newer_replica_may_say_more_than_is_known_and_its_error_is_cut():
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
            SAID[:-1] + b', "traffic": {"stable": {"requests": ' + counts + b"}}}"
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
def test_an_answer_that_makes_no_sense_says_nothing(body):
    assert parse_revisions(body) is None
