"""Tests run in two processes at once, a module's tests in one of them: what only one of them may have."""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest
from toy_voice import make_toy_voice


@pytest.fixture(scope="module")
def only_ray():
    """Make this module's Ray the only one that tests start: two would take each other's ports."""
    with (Path(tempfile.gettempdir()) / f"kubevoice-tests-ray-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """The toy voice's bundle."""
    return make_toy_voice(tmp_path_factory.mktemp("voices") / "toy")


@pytest.fixture(scope="session")
def other_toy(tmp_path_factory):
    """Another revision of it, an octave slower to tell them apart by ear: another sample rate."""
    return make_toy_voice(tmp_path_factory.mktemp("voices") / "other", "other", sample_rate=4000)
