"""One Ray for the tests of this folder that serve the toy voice on this machine: starting one takes a minute."""

import pytest
from local_voice import serve_voice


@pytest.fixture(scope="package")
def serving_folder(tmp_path_factory):
    """The folder of Ray's files: so long a path that the paths of Ray's sockets reach the kernel's limit."""
    folder = tmp_path_factory.mktemp("serving")
    path = folder / ("x" * max(1, 45 - len(str(folder))))
    path.mkdir()
    return path


@pytest.fixture(scope="package")
def serving(serving_folder, toy):
    """The toy voice. A test that changes what is served restores it; test_local_ray_changes.py stops it at the end."""
    with serve_voice(serving_folder, toy) as local:
        yield local
