"""A site of one replica for tests of the WebSocket, and requests to it."""

import asyncio
import threading

from kubevoice.resources.data_plane import IngressConfig
from kubevoice_serving.routing.caching_backend import CachingBackend
from websocket_client import open_websocket


class RecordingBackend:
    """Wraps a replica: caches as in production, records requests, and raises the errors that a test sets."""

    def __init__(self, replica, toy):
        self._backend = CachingBackend(replica)
        asyncio.run(self._backend.configure(IngressConfig(voices={"toy": toy.digest}, default="toy")))
        self.requests, self.failures, self.ended = [], [], 0
        self.gate = threading.Event()
        self.gate.set()

    def __getattr__(self, name):
        return getattr(self._backend, name)

    async def stream(self, request):
        self.requests.append(request)
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        try:
            async for item in self._backend.stream(request):
                while not self.gate.is_set():  # noqa: ASYNC110  # a test opens it from another thread
                    await asyncio.sleep(0.01)
                yield item
        finally:
            self.ended += 1


def send_text(site, pieces, **start):
    """Send a text in pieces, wait until the connection is closed, and return the connection with what it received."""
    with open_websocket(site.url) as connection:
        connection.send("start", **start)
        for piece in pieces:
            connection.send("text", text=piece)
        connection.send("end")
        assert connection.receive_until_closed() == (1000, "")
    return connection


def speak(site, **fields):
    body = {"response_format": "pcm", "stream": False} | fields
    status, _, audio = site.call("POST", "/v1/audio/speech", body)
    assert status == 200
    return audio
