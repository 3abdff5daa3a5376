"""A Ray of our own on this machine: one head node in a process group of its own, bound to loopback."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from kubevoice.errors import KubeVoiceError

from kubevoice_operator.local.files import write_atomically
from kubevoice_operator.local.http import LOOPBACK, request

__all__ = ["LocalRay", "RayProcess", "port_is_free"]

START_SECONDS = 90.0
STOP_SECONDS = 20.0
SOCKET_PATH_LIMIT = 107
SOCKET_SUFFIX = len("/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store")
SERVE_API = "/api/serve/applications/"
SPARE_CPUS = 1
"""Ray counts logical CPUs: one beyond the machine's own keeps the HTTP side from competing with replicas for one."""


@dataclass(frozen=True, slots=True)
class RayProcess:
    """A running head node: its process group, the time it was started, its dashboard's port and access token."""

    pid: int
    started: str
    dashboard_port: int
    token: str

    def request(self, method: str, body: Any = None, *, timeout: float = 5.0) -> tuple[int, Any]:
        """Call Serve's API. Raises OSError if nothing answers."""
        return request(self.dashboard_port, method, SERVE_API, body, token=self.token, timeout=timeout)


def port_is_free(port: int) -> bool:
    """Tell whether a server may bind the port on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> Iterator[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for probe in sockets:
            probe.bind((LOOPBACK, 0))
        yield from [probe.getsockname()[1] for probe in sockets]
    finally:
        for probe in sockets:
            probe.close()


def _start_time(pid: int) -> str:
    """Return when a process began, in clock ticks: with the pid it names the process for good. Empty if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


class LocalRay:
    """The Ray whose state is in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def log(self) -> Path:
        """Where Ray's own output goes."""
        return self._folder / "ray.log"

    def running(self) -> RayProcess | None:
        """Return the head node if it is alive."""
        try:
            found = RayProcess(**json.loads((self._folder / "ray.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return found if found.started and _start_time(found.pid) == found.started else None

    def _temporary_folder(self) -> Path:
        """Return Ray's session folder: in ours, unless the sockets' paths would grow too long for the kernel."""
        ours = self._folder / "ray"
        if len(str(ours)) + SOCKET_SUFFIX <= SOCKET_PATH_LIMIT:
            return ours
        name = sha256(str(ours).encode()).hexdigest()[:8]
        return Path(tempfile.gettempdir()) / f"kubevoice-{os.getuid()}-{name}"

    def start(self, environment: dict[str, str]) -> RayProcess:
        """Start a head node and wait until its Serve API answers. KubeVoiceError names the log if it does not."""
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
        ]
        with self.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # our own words
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment
                | {
                    "RAY_TMPDIR": str(temporary),
                    "RAY_USAGE_STATS_ENABLED": "0",
                    # Who reaches Ray's ports may run any code: without a token that is every user of this machine.
                    "RAY_AUTH_MODE": "token",
                    "RAY_AUTH_TOKEN": token,
                },
            )
        found = RayProcess(process.pid, _start_time(process.pid), dashboard, token)
        write_atomically(self._folder / "ray.json", json.dumps(asdict(found)))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            try:
                if found.request("GET")[0] == 200:
                    return found
            except OSError:
                pass
            time.sleep(0.2)
        self.stop()
        raise KubeVoiceError(f"Ray did not start within {START_SECONDS:.0f} s; its log is {self.log}")

    def stop(self) -> bool:
        """Stop the head node and all it started; tell whether there was one."""
        found = self.running()
        if found is None:
            return False
        _signal_group(found.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _start_time(found.pid) and time.monotonic() < deadline:
            _reap(found.pid)
            time.sleep(0.1)
        _signal_group(found.pid, signal.SIGKILL)
        _reap(found.pid)
        (self._folder / "ray.json").unlink(missing_ok=True)
        return True


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _reap(pid: int) -> None:
    """Collect the exit code if the process is our child, so that it does not stay as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
