"""What this machine has, and what it lacks."""

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
"""How long what is sure to come is waited for: Kubernetes' own controllers look for an API server that was away ever
more seldom, up to once in half a minute, and each kind of object for itself."""

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
    """Return the path of `program`; administrators' folders are searched too, whatever PATH says."""
    return shutil.which(program) or shutil.which(program, path=SYSTEM_PATH)


def find_go() -> str | None:
    """Return the path of Go, from PATH or from where its own installer puts it."""
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")


def require_for_node() -> None:
    """Raise unless this machine can run a whole node.

    Raises
    ------
    UnavailableError
        Naming everything that is missing, at once.
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


def wait_for(what: str, predicate: Callable[[], object], timeout: float, state: Callable[[], str]) -> None:
    """Wait until `predicate` holds.

    Parameters
    ----------
    what
        What is waited for, in words.
    predicate
        Asked at once, and then ever more seldom, but once a second at least.
    timeout
        Seconds.
    state
        Tells what is there instead, once the time is over.

    Raises
    ------
    TimeoutError
        With the state.
    """
    deadline, pause = time.monotonic() + timeout, 0.05
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain for {what}\n{state()}")
        time.sleep(pause)
        pause = min(1.3 * pause, 1)


def claim(name: str) -> socket.socket | None:
    """Claim `name` on this machine until the socket is closed or we die; None if somebody else has it."""
    # No file: the kernel frees an abstract socket's name together with its owner.
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0{name}")
    except OSError:
        lock.close()
        return None
    return lock


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a folder that is deleted at the end; those of owners who were killed are deleted at the beginning."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{prefix}*"):
        if lock := claim(str(left)):
            with lock:
                shutil.rmtree(left, ignore_errors=True)
    path = root / f"{prefix}{secrets.token_hex(4)}"
    # Claimed before it is there, so that nobody takes it for a dead owner's.
    with claim(str(path)) or nullcontext():
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
