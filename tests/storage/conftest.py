import pytest
from s3_server import s3_server


@pytest.fixture
def new_server(tmp_path):
    """A running S3 server of the test's own, to be stopped and started at will."""
    with s3_server(tmp_path / "s3-root") as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """Options of a running server with the bucket `voices`."""
    with s3_server(tmp_path_factory.mktemp("s3") / "root") as server:
        yield server.options()
