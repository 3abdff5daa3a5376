"""Prints the running tests, so that the output of a run that was killed shows them."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

INTERVAL_SECONDS = 10.0


class RunningTests:
    """A pytest plugin that prints the running tests at intervals, and when the run gets SIGTERM.

    With pytest-xdist it runs in the controller, which gets the reports of all workers.

    Attributes
    ----------
    started
        When each running test began, by its id. Set when a test starts, removed when it ends.
    """

    def __init__(self):
        self.started = {}
        self._over = threading.Event()
        # A duplicate, because pytest captures file descriptor 1 while a test runs without workers.
        self._out = os.dup(1)

    def pytest_sessionstart(self):
        threading.Thread(target=self._print_regularly, daemon=True).start()

    def pytest_runtest_logstart(self, nodeid):
        self.started[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid):
        self.started.pop(nodeid, None)

    def pytest_unconfigure(self):
        self._over.set()

    def end(self, *_):
        """Handle SIGTERM like Ctrl-C, in the workers too, so that fixtures clean up.

        Workers get SIGTERM, because background processes of a shell ignore SIGINT.
        """
        self.print()
        for worker in find_children():
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGTERM)
        raise KeyboardInterrupt

    def print(self):
        """Print the running tests and for how many seconds each has run."""
        now = time.monotonic()
        lines = [f"\nrunning for {now - since:.0f} s: {name}" for name, since in sorted(self.started.copy().items())]
        os.write(self._out, ("".join(lines) + "\n").encode() if lines else b"")

    def _print_regularly(self):
        while not self._over.wait(INTERVAL_SECONDS):
            self.print()


def find_children():
    """Return the ids of this process's child processes: of a controller, pytest-xdist's workers."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def configure(config):
    """Add the plugin to the process that prints."""
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return
    running = RunningTests()
    config.pluginmanager.register(running, "running-tests")
    signal.signal(signal.SIGTERM, running.end)
