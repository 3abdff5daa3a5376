import importlib.util
import sys
from pathlib import Path

import pytest

# Tests are no package, so their shared helper is loaded by its path.
spec = importlib.util.spec_from_file_location("s3_server", Path(__file__).parents[1] / "s3_server.py")
s3_server = importlib.util.module_from_spec(spec)
sys.modules["s3_server"] = s3_server
spec.loader.exec_module(s3_server)


@pytest.fixture
def new_server(tmp_path, monkeypatch):
    """A running S3 server of the test's own, to be stopped and started at will."""
    server = s3_server.S3Server(tmp_path / "s3-root")
    server.root.mkdir()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """Options of a running server with the bucket `voices`."""
    server = s3_server.S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        yield server.options()
    server.stop()
