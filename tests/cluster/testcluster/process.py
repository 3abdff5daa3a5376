"""Programs that run as long as a cluster does, and can be stopped and started one by one."""

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

__all__ = ["Component", "accepts", "answers"]

STOP_SECONDS = 5
LOG_TAIL = 3000


@dataclass
class Component:
    """One program of a cluster.

    Attributes
    ----------
    name
        What tests call it.
    command
        Its command line, for the place it runs in.
    log
        The file that gets its output, over all its lives.
    ready
        Whether it does its work.
    environment
        Its whole environment.
    nested
        The command enters other namespaces first, so that the program is the command's child.
    """

    name: str
    command: list[str]
    log: Path
    ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    nested: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        if self.running:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # In a session of its own: Ctrl-C is for us, who then stop it in order.
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
            If it ends instead, with the end of its log.
        """

        def ready_or_over() -> bool:
            if not self.running:
                raise RuntimeError(f"{self.name} ended with {self.process and self.process.returncode}:\n{self.tail()}")
            return self.ready()

        wait_for(f"{self.name} to be ready", ready_or_over, timeout, self.tail)

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> None:
        """Stop it by `kind`, and harder if it does not listen."""
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
        """End it at once, as the end of its cluster does."""
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
        # Either may have ended by itself meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if self.nested else []
            os.kill(int(children[0]) if children else pid, kind)


def accepts(host: str, port: int) -> Callable[[], bool]:
    """Return a check that something accepts TCP connections there."""

    def check() -> bool:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            return False
        return True

    return check


def answers(url: str) -> Callable[[], bool]:
    """Return a check that `url` answers with 200; whoever signed its certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # No proxy of the environment stands between us and our own cluster.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def check() -> bool:
        try:
            with opener.open(url, timeout=2) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    return check
