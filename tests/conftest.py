"""Tests run in two processes at once, a module's tests in one of them: what only one of them may have."""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def only_ray():
    """Make this module's Ray the only one that tests start: two would take each other's ports."""
    with (Path(tempfile.gettempdir()) / f"kubevoice-tests-ray-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
