"""Fixtures of the modules that test the WebSocket."""

import pytest
from http_app import serve_app
from kubevoice.resources.data_plane import AccessConfig
from websocket_site import RecordingBackend


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy, wrap=lambda replica: RecordingBackend(replica, toy)) as site:
        yield site


@pytest.fixture
def backend(shared_site):
    return shared_site.backend


@pytest.fixture
def site(shared_site, backend):
    backend.requests, backend.failures, backend.ended = [], [], 0
    yield shared_site
    backend.gate.set()
    shared_site.access.configure(AccessConfig())
