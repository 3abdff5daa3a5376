"""The site of the modules that test the WebSocket."""

import pytest
from http_app import serve_app
from kubevoice.resources.data_plane import AccessConfig
from websocket_site import RecordingBackend


@pytest.fixture(scope="module")
def served(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy, wrap=lambda replica: RecordingBackend(replica, toy)) as site:
        yield site


@pytest.fixture
def backend(served):
    return served.backend


@pytest.fixture
def site(served, backend):
    backend.requests, backend.failures, backend.ended = [], [], 0
    yield served
    backend.gate.set()
    served.access.configure(AccessConfig())
