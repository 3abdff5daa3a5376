"""The HTTP application over one replica in this process, behind a real server but without Ray."""

import asyncio
import http.client
import json
import threading
import time
from contextlib import aclosing, contextmanager

import uvicorn
from kubevoice_serving.domain import AtCapacityError
from kubevoice_serving.http.access import AccessControl
from kubevoice_serving.http.application import create_app
from kubevoice_serving.http.recordings import Recordings
from kubevoice_serving.replica.synthesizer import Synthesizer

START_SECONDS = 20.0


class OneReplica:
    """A `Backend` whose only replica is here."""

    def __init__(self, replica):
        self._replica = replica
        self.synthesize, self.compute_timing = replica.synthesize, replica.compute_timing
        self.analyze, self.list_voices = replica.analyze, replica.list_voices

    async def stream(self, request):
        async with aclosing(self._replica.stream(request)) as items:
            async for item in items:
                if isinstance(item, AtCapacityError):
                    raise item
                yield item

    async def list_replicas(self):
        return [await self._replica.get_state()]

    def track_traffic(self):
        return {}


class Site:
    """Where the application listens, its access rules and its backend."""

    def __init__(self, access, backend, port):
        self.access, self.backend, self.port = access, backend, port
        self.url = f"http://127.0.0.1:{port}"

    def call(self, method, path, body=None, **headers):
        """Status, headers and body; `body` goes as it is if it is bytes or an iterator, as JSON otherwise."""
        raw = body is None or isinstance(body, bytes) or hasattr(body, "__next__")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body if raw else json.dumps(body).encode(), sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


def make_app(folder, toy, config=None, over=lambda backend: backend):
    """The application that speaks with a toy voice, its rules and its backend.

    `over` may put something before the replica.
    """
    replica, access = Synthesizer(folder / "voices"), AccessControl(config)
    voices = [{"name": toy.manifest.name, "revision": toy.digest, "uri": str(toy.path)}]
    asyncio.run(replica.reconfigure({"voices": voices}))
    backend = over(OneReplica(replica))
    return create_app(backend, Recordings(folder / "recordings"), access), access, backend


@contextmanager
def serve_app(folder, toy, **options):
    app, access, backend = make_app(folder, toy, **options)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Site(access, backend, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
