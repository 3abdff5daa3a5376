"""Tests run in two processes at once: which tests stay together, and what only one process may have."""

import fcntl
import os
import tempfile
from pathlib import Path

import progress
import pytest
from scheduling import ModuleScheduling, require_group
from toy_voice import make_toy_voice


def pytest_configure(config):
    progress.configure(config)


def pytest_xdist_make_scheduler(config, log):
    return ModuleScheduling(config, log)


def pytest_itemcollected(item):
    """Keep the modules that start Ray in one process, where they need not wait for each other."""
    if "only_ray" in item.fixturenames:
        require_group(item, "ray")


def pytest_collection_modifyitems(config, items):
    """Begin with the modules that start Ray, then the slow ones, so that no process is left with one at the end.

    One process alone runs beside the tests of tests/cluster, which need most of the CPU at first: it ends with Ray.
    tests/cluster has an order of its own.
    """
    alone = getattr(config, "workerinput", {}).get("workercount") == 1
    marked = [item for item in items if item.get_closest_marker("slow") and not item.get_closest_marker("cluster")]
    slow = {item.path for item in marked}
    items.sort(key=lambda item: (("only_ray" in item.fixturenames) is alone, item.path not in slow))


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
