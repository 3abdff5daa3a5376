"""The HTTP application over one replica in this process, behind a real HTTP server and without Ray."""

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
    """A `Backend` with one replica in this process."""

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
    """A running application: its port and URL, access control and backend."""

    def __init__(self, access, backend, port):
        self.access, self.backend, self.port = access, backend, port
        self.url = f"http://127.0.0.1:{port}"

    def call(self, method, path, body=None, **headers):
        """Send `body` as JSON, unless it is bytes or an iterator; return status, headers and body of the response."""
        is_raw = body is None or isinstance(body, bytes) or hasattr(body, "__next__")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        fields = {"Content-Type": "application/json"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(
                method,
                path,
                body if is_raw else json.dumps(body).encode(),
                {"Content-Type": "application/json"} | fields,
            )
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


def make_app(folder, toy, config=None, wrap=lambda backend: backend):
    """Return an application with the toy voice, its access control and its backend.

    `wrap` may wrap the backend.
    """
    replica, access = Synthesizer(folder / "voices"), AccessControl(config)
    voices = [{"name": toy.manifest.name, "revision": toy.digest, "uri": str(toy.path)}]
    asyncio.run(replica.reconfigure({"voices": voices}))
    backend = wrap(OneReplica(replica))
    return create_app(backend, Recordings(folder / "recordings"), access), access, backend


@contextmanager
def serve_app(folder, toy, **options):
    """Serve the application of `make_app` until the end of the block."""
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
