"""The HTTP application over one replica in this process, behind a real HTTP server and without Ray."""

import asyncio
import http.client
import json
import threading
import time
from contextlib import aclosing, asynccontextmanager, contextmanager

import uvicorn
from kubevoice.resources.data_plane import IngressConfig
from kubevoice_serving.domain import AtCapacityError, UnavailableError
from kubevoice_serving.http.access import AccessControl
from kubevoice_serving.http.application import create_app
from kubevoice_serving.http.client_rules import ClientRules
from kubevoice_serving.http.recordings import Recordings
from kubevoice_serving.replica.synthesizer import Synthesizer

START_SECONDS = 20.0


class OneReplica:
    """A `Backend` with one replica in this process."""

    def __init__(self, replica):
        self._replica = replica
        self.list_voices = replica.list_voices

    async def synthesize(self, request):
        return raise_error(await self._replica.synthesize(request))

    async def compute_timing(self, request):
        return raise_error(await self._replica.compute_timing(request))

    async def analyze(self, *args, **options):
        return raise_error(await self._replica.analyze(*args, **options))

    async def stream(self, request):
        async with aclosing(self._replica.stream(request)) as items:
            async for item in items:
                yield raise_error(item)

    async def list_replicas(self):
        return [await self._replica.get_state()]

    def track_traffic(self):
        return {}


def raise_error(outcome):
    """Raise an error that the replica returned, as calls to Ray's replicas do."""
    if isinstance(outcome, AtCapacityError | UnavailableError):
        raise outcome
    return outcome


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


def make_app(folder, toy, config=None, wrap=lambda backend: backend, voices=None, clients=None, **options):
    """Return an application with the toy voice, its access control and its backend.

    `wrap` may wrap the backend. `clients` is a ClientsConfig as JSON. `voices` is a user_config of the replica in place
    of the toy voice. It is configured when the application starts, because voices that are loaded on demand need its
    event loop.
    """
    replica, access = Synthesizer(folder / "voices"), AccessControl(config)
    if voices is None:
        toy_voice = {"name": toy.manifest.name, "revision": toy.digest, "uri": str(toy.path)}
        asyncio.run(replica.reconfigure({"voices": [toy_voice]}))
    backend = wrap(OneReplica(replica))
    rules = ClientRules(IngressConfig.model_validate({"clients": clients or {}}))
    app = create_app(backend, Recordings(folder / "recordings"), access, rules, **options)
    if voices is not None:
        app.router.lifespan_context = configure_first(app.router.lifespan_context, replica, voices)
    return app, access, backend


def configure_first(lifespan, replica, voices):
    @asynccontextmanager
    async def configured_lifespan(app):
        await replica.reconfigure(voices)
        async with lifespan(app):
            yield

    return configured_lifespan


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
