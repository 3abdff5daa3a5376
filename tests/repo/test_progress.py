"""A test run that is cut off has printed which test was running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1] / "shared"
CONFTEST = """
import progress

progress.INTERVAL_SECONDS = {interval}


def pytest_configure(config):
    progress.configure(config)
"""
TEST = """
import signal
from pathlib import Path


def test_that_waits():
    Path("reached").touch()
    try:
        signal.pause()
    finally:
        Path("cleaned").touch()
"""


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("interval", "end"), [(600, signal.SIGTERM), (0.2, signal.SIGKILL)], ids=["term", "kill"])
def test_a_run_that_is_cut_off_has_printed_its_running_test(tmp_path, workers, interval, end):
    (tmp_path / "conftest.py").write_text(CONFTEST.format(interval=interval))
    (tmp_path / "test_waits.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--numprocesses", str(workers)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(SHARED)}, stdout=subprocess.PIPE, text=True
    ) as run:
        output = ""
        if end == signal.SIGKILL:
            while "running for" not in output:
                output += run.stdout.readline()
        else:
            while not (tmp_path / "reached").exists():
                assert run.poll() is None
                time.sleep(0.05)
        run.send_signal(end)
        output += run.communicate(timeout=60)[0]
    assert "s: test_waits.py::test_that_waits" in output
    assert (tmp_path / "cleaned").exists() or end == signal.SIGKILL
