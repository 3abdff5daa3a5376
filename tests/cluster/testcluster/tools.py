"""Programs and packages of this machine, locks, temporary folders, and waiting for conditions."""

import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

__all__ = [
    "PATIENCE_SECONDS",
    "UnavailableError",
    "claim",
    "find",
    "find_go",
    "require_for_node",
    "temporary_folder",
    "wait_for",
]

PATIENCE_SECONDS = 120.0
"""How long to wait for what must happen. When the API server was away, each watch of Kubernetes' controllers retries
with a growing pause of up to half a minute."""

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
CNI_PLUGINS = Path("/usr/lib/cni")

PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "socat": "socat",
    "ip": "iproute2",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "mount": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "sysctl": "procps",
}
"""Programs of the node tier, and the Debian package of each."""


class UnavailableError(Exception):
    """This machine cannot run the cluster; the message says what it lacks."""


def find(program: str) -> str | None:
    """Return the path of `program`. Folders for administrators are searched beside PATH."""
    return shutil.which(program) or shutil.which(program, path=SYSTEM_PATH)


def find_go() -> str | None:
    """Return the path of Go, from PATH or from the folder of its installer."""
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")


def require_for_node() -> None:
    """Raise an error unless this machine can run a node.

    Raises
    ------
    UnavailableError
        With everything that is missing.
    """
    missing = []
    if sys.platform != "linux":
        missing.append("Linux")
    elif os.geteuid() != 0:
        missing.append("root (it makes namespaces, mounts and cgroups)")
    packages = {package for program, package in PACKAGES.items() if find(program) is None}
    if not all((CNI_PLUGINS / plugin).exists() for plugin in ("ptp", "host-local", "loopback")):
        packages.add("containernetworking-plugins")
    if packages:
        missing.append(f"the Debian packages {' '.join(sorted(packages))}")
    if missing:
        raise UnavailableError(f"a Kubernetes node needs {' and '.join(missing)}")


def wait_for(description: str, predicate: Callable[[], object], timeout: float, state: Callable[[], str]) -> None:
    """Wait until `predicate` holds.

    Parameters
    ----------
    description
        What is waited for, for the message.
    predicate
        Called at once, and then with a growing pause of at most a second.
    timeout
        In seconds.
    state
        Describes the state for the message of the error.

    Raises
    ------
    TimeoutError
        With the description and the state.
    """
    deadline, pause = time.monotonic() + timeout, 0.05
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain for {description}\n{state()}")
        time.sleep(pause)
        pause = min(1.3 * pause, 1)


def claim(name: str) -> socket.socket | None:
    """Claim `name` on this machine until the socket is closed or the process ends; None if it is taken."""
    # The kernel frees the name of an abstract socket when its owner ends.
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0{name}")
    except OSError:
        lock.close()
        return None
    return lock


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a folder until the end of the block. Folders of processes that were killed are deleted first."""
    root = Path(tempfile.gettempdir())
    for leftover in root.glob(f"{prefix}*"):
        if lock := claim(str(leftover)):
            with lock:
                shutil.rmtree(leftover, ignore_errors=True)
    path = root / f"{prefix}{secrets.token_hex(4)}"
    # Claimed before it exists, so that no other process deletes it as a leftover.
    with claim(str(path)) or nullcontext():
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
