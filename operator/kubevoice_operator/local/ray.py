"""A Ray of our own on this machine: one head node in a session of its own.

The HTTP port is bound to loopback. Ray binds its internal ports to every interface, whatever its settings are, so every
connection needs a token that only this user can read.
"""

import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any

from kubevoice.digests import short_hash
from kubevoice.errors import KubeVoiceError

from kubevoice_operator.local.files import write_atomically
from kubevoice_operator.local.http import LOOPBACK, request
from kubevoice_operator.local.processes import identify_process, read_boot_id, read_stat
from kubevoice_operator.render.ray_environment import RAY_ENVIRONMENT

__all__ = ["LocalRay", "RayProcess", "port_is_free"]

START_SECONDS = 300.0
"""A machine that is busy needs minutes; a head node that cannot start ends long before."""
STOP_SECONDS = 5.0
GAVE_UP = re.compile("timed out during startup|Timed out waiting for node info")
"""What Ray or its client server says when a node is not ready within 30 seconds, for which they have no setting."""
LAST_LINES = 5
PORTS = range(20000, 30000)
SOCKET_PATH_LIMIT = 107
SOCKET_SUFFIX = len("/session_2026-01-01_00-00-00_000000_0000000/sockets/dash_TaskEventsHead")
SERVE_API = "/api/serve/applications/"
SWITCH = "RAY_SERVE_ENABLE_HA_PROXY"
SPARE_CPUS = 1
"""Ray counts logical CPUs: one beyond the machine's own keeps the HTTP side from competing with replicas for one."""


@dataclass(frozen=True, slots=True)
class RayProcess:
    """A running head node: its pid, when it was started, its dashboard's port and access token."""

    pid: int
    started: str
    dashboard_port: int
    token: str

    def request(self, method: str, body: Any = None, *, timeout: float = 5.0) -> tuple[int, Any]:
        """Call Serve's API.

        Parameters
        ----------
        method
            GET, PUT or DELETE.
        body
            Sent as JSON; None sends no body.
        timeout
            Seconds to wait for each part of the answer.

        Returns
        -------
        tuple
            Status, and the answer's JSON.

        Raises
        ------
        OSError
            If nothing answers.
        """
        return request(self.dashboard_port, method, SERVE_API, body, token=self.token, timeout=timeout)


def port_is_free(port: int) -> bool:
    """Tell whether a server may bind the port on loopback.

    Parameters
    ----------
    port
        TCP port.

    Returns
    -------
    bool
        False if another process listens on it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    """Return ports below those that the kernel gives to outgoing connections, which could take one before Ray does."""
    return list(islice((port for port in random.sample(PORTS, len(PORTS)) if port_is_free(port)), count))


def _session(leader: int) -> list[int]:
    """Return the processes of a session. Ray's workers have process groups of their own, but share the session."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if (fields := read_stat(pid)) and int(fields[3]) == leader]


class LocalRay:
    """The Ray whose state is in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._head: subprocess.Popen[bytes] | None = None
        """The head node if this process started it: then it is also this process that must reap it."""

    @property
    def log(self) -> Path:
        """Where Ray's own output goes."""
        return self._folder / "ray.log"

    @property
    def logs(self) -> Path:
        """Where the logs of Ray's processes are, of the last session; the folder need not exist."""
        return self._temporary_folder() / "session_latest" / "logs"

    def running(self) -> RayProcess | None:
        """Look for the head node.

        Returns
        -------
        RayProcess or None
            None if it is not alive.
        """
        head = self._read_record()
        return head if head and identify_process(head.pid) == head.started else None

    def _read_record(self) -> RayProcess | None:
        """Return the head node started last, if that was since this machine booted."""
        try:
            head = RayProcess(**json.loads((self._folder / "ray.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return head if head.started.startswith(f"{read_boot_id()}/") else None

    def _temporary_folder(self) -> Path:
        """Return Ray's session folder: in ours, unless the sockets' paths would grow too long for the kernel."""
        ours = self._folder / "ray"
        if len(str(ours)) + SOCKET_SUFFIX <= SOCKET_PATH_LIMIT:
            return ours
        name = short_hash(str(ours), 8)
        return Path(tempfile.gettempdir()) / f"kubevoice-{os.getuid()}-{name}"

    def start(self, environment: dict[str, str]) -> RayProcess:
        """Start a head node and wait until its Serve API answers.

        Parameters
        ----------
        environment
            Environment variables beside this process's.

        Returns
        -------
        RayProcess
            The head node.

        Raises
        ------
        KubeVoiceError
            If it ends or does not answer; the message quotes the end of the log and names it.
        """
        started_at = time.monotonic()
        while True:
            process, head, begin = self._launch(environment)
            exit_code = None
            while exit_code is None and time.monotonic() - started_at < START_SECONDS:
                with suppress(OSError):
                    if head.request("GET")[0] == HTTPStatus.OK:
                        return head
                time.sleep(0.2)
                exit_code = process.poll()
            self.stop()
            end = self._read_end(begin)
            seconds = time.monotonic() - started_at
            if seconds > START_SECONDS or not GAVE_UP.search(end):
                what = "did not answer within" if exit_code is None else f"ended with exit code {exit_code} after"
                raise KubeVoiceError(f"Ray {what} {seconds:.0f} s; its log {self.log} ends with:\n{end}")

    def _launch(self, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], RayProcess, int]:
        """Start a head node; return its process, its record and where its messages begin in the log."""
        gcs, dashboard, agent, agent_grpc, metrics, client = _free_ports(6)
        temporary = self._temporary_folder()
        temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
        token = secrets.token_hex(32)
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
            *("--node-ip-address", LOOPBACK, "--port", str(gcs), "--ray-client-server-port", str(client)),
            *("--dashboard-host", LOOPBACK, "--dashboard-port", str(dashboard)),
            *("--dashboard-agent-listen-port", str(agent), "--dashboard-agent-grpc-port", str(agent_grpc)),
            *("--metrics-export-port", str(metrics), "--temp-dir", str(temporary)),
            *("--num-cpus", str((os.cpu_count() or 1) + SPARE_CPUS), "--object-store-memory", str(128 << 20)),
            # No cluster to scale, and no driver to show the logs of its workers to: two processes less.
            *("--no-monitor", "--include-log-monitor", "false"),
        ]
        with self.log.open("ab") as log:
            begin = log.tell()
            self._head = process = subprocess.Popen(  # noqa: S603  # our own words
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment
                | RAY_ENVIRONMENT
                | {
                    # A cluster's HAProxy would listen on every address of this machine, so it is on only if the user
                    # sets this variable, for a benchmark.
                    SWITCH: os.environ.get(SWITCH, "0"),
                    "RAY_TMPDIR": str(temporary),
                    # Anyone who reaches Ray's ports can run any code: without a token, every user of this machine.
                    "RAY_AUTH_MODE": "token",
                    "RAY_AUTH_TOKEN": token,
                },
            )
        head = RayProcess(process.pid, identify_process(process.pid), dashboard, token)
        write_atomically(self._folder / "ray.json", json.dumps(asdict(head)))
        return process, head, begin

    def _read_end(self, begin: int) -> str:
        """Return the last lines that Ray wrote after a position of its log, without stack traces and repetitions."""
        with self.log.open("rb") as log:
            log.seek(begin)
            lines = dict.fromkeys(log.read().decode(errors="replace").splitlines())
        messages = [line for line in lines if line.strip() and "[0x" not in line and not line.startswith("***")]
        return "\n".join(messages[-LAST_LINES:])

    def stop(self) -> bool:
        """Stop the head node and all processes that it started, also if the head itself was killed.

        Returns
        -------
        bool
            Whether anything ran.
        """
        head = self._read_record()
        # The kernel does not reuse the pid of a session that has processes: a process with this pid is the head, or the
        # session has ended.
        if head is None or (read_stat(head.pid) and identify_process(head.pid) != head.started):
            return False
        members = _session(head.pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal(_session(head.pid), number)
            self._await_end(head.pid)
        if self._head:
            self._head.wait()
        (self._folder / "ray.json").unlink(missing_ok=True)
        if (temporary := self._temporary_folder()).parent != self._folder:
            shutil.rmtree(temporary, ignore_errors=True)
        return bool(members)

    def _await_end(self, session: int) -> None:
        """Wait until no process of the session is left, so that its ports are free, or the time is over."""
        deadline = time.monotonic() + STOP_SECONDS
        while _session(session) and time.monotonic() < deadline:
            if self._head:
                self._head.poll()
            time.sleep(0.1)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
