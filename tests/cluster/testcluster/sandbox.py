"""Namespaces of a node's own: processes, mounts and network that end with it, however it ends.

Everything on the node descends from one process, the first of a process namespace. The kernel kills that one when we
die, and then all others; with them go the mounts and the network, which only they can see. So after a crash only a
folder and empty cgroups are left, and their fixed names let the next node remove them.
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

from testcluster.places import environment, until_we_die
from testcluster.tools import claim, wait_for

__all__ = ["Sandbox", "Slot"]

SLOTS = 8
"""How many nodes one machine runs at a time."""
NETWORK = ipaddress.IPv4Network("198.18.0.0/15")
"""Reserved for tests of networks (RFC 2544): nobody else's addresses."""
CGROUPS = Path("/sys/fs/cgroup")
HIDDEN = ("/run", "/var/lib", "/var/log")
"""What the node's programs write outside their folder goes to memory of the node's own."""
CPU_WEIGHTS = {"cpu.shares": "8192", "cpu.weight": "800"}
"""All pods together count as eight processes of this machine, not as one: Ray gives up if it starts too slowly."""
TO_US, TO_NOWHERE = "tests", "nowhere"
"""Network devices on the node."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Names and addresses of one of the nodes that this machine may run; `lock` is held as long as it does."""

    number: int
    lock: socket.socket

    @classmethod
    def take(cls) -> "Slot":
        """Take the first free slot, and remove what earlier nodes have left in all free ones."""
        taken: Slot | None = None
        for number in range(SLOTS):
            if (lock := claim(f"kv-node-{number}")) is None:
                continue
            slot = cls(number, lock)
            slot.clean()
            if taken is None:
                taken = slot
            else:
                lock.close()
        if taken is None:
            raise RuntimeError(f"{SLOTS} test nodes run on this machine already")
        return taken

    @property
    def name(self) -> str:
        """Of the folder, the cgroup and the network device."""
        return f"kv-node-{self.number}"

    @property
    def state(self) -> Path:
        """The node's folder."""
        return Path(tempfile.gettempdir()) / self.name

    @property
    def networks(self) -> list[ipaddress.IPv4Network]:
        """Of Services, of pods, of the link between us and the node, of what leads nowhere."""
        mine = list(NETWORK.subnets(new_prefix=18))[self.number]
        return list(mine.subnets(new_prefix=20))

    @property
    def ours(self) -> str:
        """Our address on the link to the node."""
        return str(self.networks[2][1])

    @property
    def node(self) -> str:
        """The node's address."""
        return str(self.networks[2][2])

    def clean(self) -> None:
        """Remove everything of a node whose processes have ended."""
        ip = ["ip", "link", "delete", self.name]
        subprocess.run(ip, check=False, capture_output=True, env=environment())
        for cgroup in self.cgroups():
            if cgroup.exists():
                _remove_cgroup(cgroup)
        shutil.rmtree(self.state, ignore_errors=True)

    def cgroups(self) -> list[Path]:
        """Return the node's cgroup in each hierarchy: one in version 2, one a controller in version 1."""
        if (CGROUPS / "cgroup.controllers").exists():
            return [CGROUPS / self.name]
        roots = [root for root in CGROUPS.iterdir() if root.is_dir() and not root.is_symlink()]
        return [root / self.name for root in roots]


class Sandbox:
    """A node's namespaces; a `Place` for its programs."""

    nested = True

    def __init__(self, slot: Slot, pause: Path) -> None:
        """Make the namespaces, with `pause` as their first process."""
        self.slot = slot
        self.address = slot.node
        self._pid = 0
        namespaces = ["--pid", "--mount", "--net", "--fork", "--kill-child=KILL", "--mount-proc"]
        self._holder = subprocess.Popen(
            until_we_die("unshare", *namespaces, pause),
            env=environment(),
            start_new_session=True,
            stderr=subprocess.PIPE,
        )
        try:
            # Once it has become `pause`, its namespaces are complete.
            wait_for("namespaces", lambda: self._first(pause), 10, str)
            self._hide()
            self._make_cgroups()
            self._connect()
        except BaseException:
            self.close()
            raise

    def command(self, *argv: str | Path) -> list[str]:
        """Return the command line that runs `argv` on the node."""
        return ["nsenter", f"--target={self._pid}", "--pid", "--mount", "--net", "--", *map(str, argv)]

    def run(self, *argv: str | Path) -> str:
        """Run `argv` on the node to its end and return what it printed."""
        done = subprocess.run(self.command(*argv), env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")
        return done.stdout

    def resolve_by(self, address: str) -> None:
        """Let the node's own programs ask `address` for names, and nobody else."""
        config = self.slot.state / "node-resolv.conf"
        config.write_text(f"nameserver {address}\n")
        # It may be a link into a folder that is hidden here.
        real = Path("/etc/resolv.conf").resolve()
        script = f"test -e {real} || {{ mkdir -p {real.parent} && touch {real}; }}; mount --bind {config} {real}"
        self.run("sh", "-c", script)

    def close(self) -> None:
        """End every process of the node, and remove what it had."""
        with suppress(ProcessLookupError):
            # Its parent ends after it, and after everything on the node.
            os.kill(self._pid or self._holder.pid, signal.SIGKILL)
        self._holder.communicate()
        self.slot.clean()
        self.slot.lock.close()

    def _first(self, pause: Path) -> bool:
        holder = self._holder.pid
        if self._holder.poll() is not None:
            raise RuntimeError(f"no namespaces: {self._holder.communicate()[1].decode()}")
        children = Path(f"/proc/{holder}/task/{holder}/children").read_text().split()
        if not children or Path(f"/proc/{children[0]}/exe").readlink() != pause.resolve():
            return False
        self._pid = int(children[0])
        return True

    def _hide(self) -> None:
        for folder in HIDDEN:
            self.run("mount", "-t", "tmpfs", "tmpfs", folder)

    def _make_cgroups(self) -> None:
        for cgroup in self.slot.cgroups():
            cgroup.mkdir(exist_ok=True)
            # In version 1 a new cpuset is empty, and takes no process.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (cgroup / name).exists() and not (cgroup / name).read_text().strip():
                    (cgroup / name).write_text((cgroup.parent / name).read_text())
            for name, weight in CPU_WEIGHTS.items():
                if (cgroup / name).exists():
                    (cgroup / name).write_text(weight)

    def _connect(self) -> None:
        """Connect the node with us, so that we reach its Services and pods, and it reaches nothing."""
        slot = self.slot
        services, pods, link, nowhere = slot.networks
        _run("ip", "link", "add", slot.name, "type", "veth", "peer", "name", TO_US, "netns", str(self._pid))
        _run("sysctl", "-qw", f"net.ipv6.conf.{slot.name}.disable_ipv6=1")
        _run("ip", "address", "add", f"{slot.ours}/{link.prefixlen}", "dev", slot.name)
        _run("ip", "link", "set", slot.name, "up")
        self.run("sysctl", "-qw", f"net.ipv6.conf.{TO_US}.disable_ipv6=1", "net.ipv4.ip_forward=1")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{slot.node}/{link.prefixlen}", "dev", TO_US)
        self.run("ip", "link", "set", TO_US, "up")
        # Kubernetes expects a default route: it leads to a bridge with nobody on it.
        self.run("ip", "link", "add", TO_NOWHERE, "type", "bridge")
        self.run("ip", "address", "add", f"{nowhere[1]}/{nowhere.prefixlen}", "dev", TO_NOWHERE)
        self.run("ip", "link", "set", TO_NOWHERE, "up")
        self.run("ip", "route", "add", "default", "dev", TO_NOWHERE)
        # Answers may go back to us; nothing begins on the node. (What its own programs send to a Service seems to go
        # nowhere until it has its pod's address, so that is left alone: there is nobody anyway.)
        for chain, device in (("OUTPUT", TO_US), ("FORWARD", TO_US), ("FORWARD", TO_NOWHERE)):
            new = ["-m", "conntrack", "--ctstate", "NEW"]
            self.run("iptables", "-A", chain, "-o", device, *new, "-j", "REJECT")
        for network in (services, pods):
            _run("ip", "route", "add", str(network), "via", slot.node, "dev", slot.name)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _remove_cgroup(cgroup: Path) -> None:
    """Remove an empty cgroup and those inside it; their processes are ours, and dying."""
    inside = [cgroup, *sorted((path for path in cgroup.rglob("*") if path.is_dir()), reverse=False)]

    def try_to_remove() -> bool:
        for folder in sorted(inside, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        return not cgroup.exists()

    wait_for(f"the end of the processes in {cgroup}", try_to_remove, 10, (cgroup / "cgroup.procs").read_text)
