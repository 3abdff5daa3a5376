"""The Linux namespaces of a node: processes, mounts and network, which end with the tests, also after a crash.

All processes of the node descend from the first process of a PID namespace. The kernel kills that process when the
tests end, and then all others; the mounts and the network end with them. After a crash only a folder and empty cgroups
remain. Their names are fixed, so the next node removes them.
"""

import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from testcluster.places import build_environment, die_with_parent
from testcluster.tools import claim, wait_for

__all__ = ["Sandbox", "Slot"]

SLOTS = 8
"""How many nodes one machine can run at a time."""
NETWORK = ipaddress.IPv4Network("198.18.0.0/15")
"""Reserved for tests of networks (RFC 2544), so no other host has these addresses."""
CGROUPS = Path("/sys/fs/cgroup")
HIDDEN = ("/run", "/var/lib", "/var/log")
"""Folders of the machine that are an empty tmpfs on the node."""
CPU_WEIGHTS = {"cpu.shares": "8192", "cpu.weight": "800"}
"""All pods together get the CPU share of eight processes, because Ray gives up if it starts too slowly."""
TESTS_DEVICE, DEFAULT_DEVICE = "tests", "nowhere"
"""Network devices on the node: the link to the tests, and the target of the default route."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Names and addresses of one of the nodes that this machine can run. `lock` is held while it runs."""

    number: int
    lock: socket.socket

    @classmethod
    def acquire(cls) -> "Slot":
        """Acquire the first free slot, and remove the remains of earlier nodes from all free slots."""
        acquired: Slot | None = None
        for number in range(SLOTS):
            if (lock := claim(f"kv-node-{number}")) is None:
                continue
            slot = cls(number, lock)
            slot.clean()
            if acquired is None:
                acquired = slot
            else:
                lock.close()
        if acquired is None:
            raise RuntimeError(f"{SLOTS} test nodes run on this machine already")
        return acquired

    @property
    def name(self) -> str:
        """Name of the folder, the cgroup and the network device."""
        return f"kv-node-{self.number}"

    @property
    def state(self) -> Path:
        """The node's folder."""
        return Path(tempfile.gettempdir()) / self.name

    @property
    def networks(self) -> list[ipaddress.IPv4Network]:
        """Networks of Services, of pods, of the link between tests and node, and of the default route."""
        network = list(NETWORK.subnets(new_prefix=18))[self.number]
        return list(network.subnets(new_prefix=20))

    @property
    def tests_address(self) -> str:
        """The tests' address on the link to the node."""
        return str(self.networks[2][1])

    @property
    def node_address(self) -> str:
        """The node's address on the link to the tests."""
        return str(self.networks[2][2])

    def clean(self) -> None:
        """Remove folder, cgroups and network device of a node whose processes have ended."""
        ip = ["ip", "link", "delete", self.name]
        subprocess.run(ip, check=False, capture_output=True, env=build_environment())
        for cgroup in self.cgroups():
            if cgroup.exists():
                _remove_cgroup(cgroup)
        shutil.rmtree(self.state, ignore_errors=True)

    def cgroups(self) -> list[Path]:
        """Return the node's cgroups: one with cgroup v2, one for each controller with v1."""
        if (CGROUPS / "cgroup.controllers").exists():
            return [CGROUPS / self.name]
        roots = [root for root in CGROUPS.iterdir() if root.is_dir() and not root.is_symlink()]
        return [root / self.name for root in roots]


class Sandbox:
    """The namespaces of a node; a `Place` for its programs."""

    nested = True

    def __init__(self, slot: Slot, pause: Path) -> None:
        """Create the namespaces, with the program `pause` as their first process."""
        self.slot = slot
        self.address = slot.node_address
        self._pid = 0
        namespaces = ["--pid", "--mount", "--net", "--fork", "--kill-child=KILL", "--mount-proc"]
        self._unshare = subprocess.Popen(
            die_with_parent("unshare", *namespaces, pause),
            env=build_environment(),
            start_new_session=True,
            stderr=subprocess.PIPE,
        )
        try:
            # When the first process executes `pause`, the namespaces are complete.
            wait_for("namespaces", lambda: self._has_started(pause), 10, str)
            self._hide_folders()
            self._make_cgroups()
            self._connect()
        except BaseException:
            self.close()
            raise

    def command(self, *argv: str | Path) -> list[str]:
        """Return the command line that runs `argv` on the node."""
        return ["nsenter", f"--target={self._pid}", "--pid", "--mount", "--net", "--", *map(str, argv)]

    def run(self, *argv: str | Path) -> str:
        """Run `argv` on the node, wait until it ends, and return its output."""
        result = subprocess.run(
            self.command(*argv), env=build_environment(), capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise RuntimeError(f"{' '.join(map(str, argv))}: {result.stderr.strip()}")
        return result.stdout

    def use_dns_server(self, address: str) -> None:
        """Let the programs of the node use only the DNS server at `address`."""
        config = self.slot.state / "node-resolv.conf"
        config.write_text(f"nameserver {address}\n")
        # It may be a link into a folder of HIDDEN.
        path = Path("/etc/resolv.conf").resolve()
        script = f"test -e {path} || {{ mkdir -p {path.parent} && touch {path}; }}; mount --bind {config} {path}"
        self.run("sh", "-c", script)

    def close(self) -> None:
        """Kill every process of the node, and remove its folder, cgroups and network device."""
        with suppress(ProcessLookupError):
            # Its parent ends when all processes of the node have ended.
            os.kill(self._pid or self._unshare.pid, signal.SIGKILL)
        self._unshare.communicate()
        self.slot.clean()
        self.slot.lock.close()

    def _has_started(self, pause: Path) -> bool:
        parent = self._unshare.pid
        if self._unshare.poll() is not None:
            raise RuntimeError(f"no namespaces: {self._unshare.communicate()[1].decode()}")
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if not children or Path(f"/proc/{children[0]}/exe").readlink() != pause.resolve():
            return False
        self._pid = int(children[0])
        return True

    def _hide_folders(self) -> None:
        for folder in HIDDEN:
            self.run("mount", "-t", "tmpfs", "tmpfs", folder)

    def _make_cgroups(self) -> None:
        for cgroup in self.slot.cgroups():
            cgroup.mkdir(exist_ok=True)
            # With cgroup v1 a new cpuset is empty and accepts no process.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (cgroup / name).exists() and not (cgroup / name).read_text().strip():
                    (cgroup / name).write_text((cgroup.parent / name).read_text())
            for name, weight in CPU_WEIGHTS.items():
                if (cgroup / name).exists():
                    (cgroup / name).write_text(weight)

    def _connect(self) -> None:
        """Connect tests and node: the tests reach Services and pods, the node reaches nothing outside."""
        slot = self.slot
        services, pods, link, default = slot.networks
        _run("ip", "link", "add", slot.name, "type", "veth", "peer", "name", TESTS_DEVICE, "netns", str(self._pid))
        _run("sysctl", "-qw", f"net.ipv6.conf.{slot.name}.disable_ipv6=1")
        _run("ip", "address", "add", f"{slot.tests_address}/{link.prefixlen}", "dev", slot.name)
        _run("ip", "link", "set", slot.name, "up")
        self.run("sysctl", "-qw", f"net.ipv6.conf.{TESTS_DEVICE}.disable_ipv6=1", "net.ipv4.ip_forward=1")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{slot.node_address}/{link.prefixlen}", "dev", TESTS_DEVICE)
        self.run("ip", "link", "set", TESTS_DEVICE, "up")
        # Kubernetes expects a default route, so there is one to an empty bridge.
        self.run("ip", "link", "add", DEFAULT_DEVICE, "type", "bridge")
        self.run("ip", "address", "add", f"{default[1]}/{default.prefixlen}", "dev", DEFAULT_DEVICE)
        self.run("ip", "link", "set", DEFAULT_DEVICE, "up")
        self.run("ip", "route", "add", "default", "dev", DEFAULT_DEVICE)
        # Responses may go to the tests; new connections from the node are rejected. OUTPUT to the default route is not:
        # packets to a Service have that route until they are translated to a pod's address.
        for chain, device in (("OUTPUT", TESTS_DEVICE), ("FORWARD", TESTS_DEVICE), ("FORWARD", DEFAULT_DEVICE)):
            new = ["-m", "conntrack", "--ctstate", "NEW"]
            self.run("iptables", "-A", chain, "-o", device, *new, "-j", "REJECT")
        for network in (services, pods):
            _run("ip", "route", "add", str(network), "via", slot.node_address, "dev", slot.name)


def _run(*argv: str) -> None:
    result = subprocess.run(argv, env=build_environment(), capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {result.stderr.strip()}")


def _remove_cgroup(cgroup: Path) -> None:
    """Remove a cgroup and those inside it, when their processes have ended."""
    cgroups = [cgroup, *(path for path in cgroup.rglob("*") if path.is_dir())]

    def remove() -> bool:
        for folder in sorted(cgroups, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        return not cgroup.exists()

    wait_for(f"the end of the processes in {cgroup}", remove, 10, (cgroup / "cgroup.procs").read_text)
