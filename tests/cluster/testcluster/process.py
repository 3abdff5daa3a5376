"""The programs of a cluster, which can be stopped and started one by one."""

import os
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from testcluster.tools import wait_for

__all__ = ["Component", "check_http", "check_tcp"]

STOP_SECONDS = 5
LOG_TAIL = 3000


@dataclass
class Component:
    """One program of a cluster.

    Attributes
    ----------
    name
        Its name in tests.
    command
        Its command line.
    log
        The file to which the output of every start is appended.
    ready
        Checks whether it is ready.
    environment
        All its environment variables.
    nested
        Whether the command enters other namespaces first, so that the program is its child process.
    process
        The process, set by `start` and cleared by `stop` and `end`.
    """

    name: str
    command: list[str]
    log: Path
    ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    nested: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it if it does not run; do not wait until it is ready."""
        if self.running:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # In a session of its own: Ctrl-C reaches only the tests, which then stop it in order.
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )

    def wait(self, timeout: float = 120) -> None:
        """Wait until it is ready.

        Raises
        ------
        RuntimeError
            If it ends before, with the end of its log.
        """

        def check_ready() -> bool:
            if not self.running:
                raise RuntimeError(f"{self.name} ended with {self.process and self.process.returncode}:\n{self.tail()}")
            return self.ready()

        wait_for(f"{self.name} to be ready", check_ready, timeout, self.tail)

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> None:
        """Stop it with a signal, and with SIGKILL if it runs for some seconds more."""
        if self.process is None:
            return
        self._signal(kind)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.process.wait()
        self.process = None

    def end(self) -> None:
        """Kill it."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    @property
    def running(self) -> bool:
        """Whether the program runs."""
        return self.process is not None and self.process.poll() is None

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:] if self.log.exists() else ""

    def _signal(self, kind: signal.Signals) -> None:
        process = self.process
        if process is None or process.poll() is not None:
            return
        # The process or its child may have ended meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if self.nested else []
            os.kill(int(children[0]) if children else pid, kind)


def check_tcp(host: str, port: int) -> Callable[[], bool]:
    """Return a check whether something accepts TCP connections at an address."""

    def check() -> bool:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            return False
        return True

    return check


def check_http(url: str) -> Callable[[], bool]:
    """Return a check whether `url` answers with 200. Certificates are not verified."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # The proxy of the environment is not for addresses of the cluster.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def check() -> bool:
        try:
            with opener.open(url, timeout=2) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    return check
