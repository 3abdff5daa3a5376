"""Prints the running tests, so that the output of a run that was killed shows them."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

INTERVAL_SECONDS = 10.0


class RunningTests:
    """A pytest plugin that prints the running tests now and then, and when the run is told to end.

    With pytest-xdist it runs in the controller, which hears of every worker's tests.

    Attributes
    ----------
    started
        When each running test began, by its id. Set when a test starts, removed when it ends.
    """

    def __init__(self):
        self.started = {}
        self._over = threading.Event()
        # Of its own: while a test runs without workers, pytest captures what goes to the first one.
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
        """Answer SIGTERM as Ctrl-C is answered, in the workers too: fixtures clean up.

        Not by SIGINT, which is ignored in what a shell runs in the background.
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
