"""Where the programs of a cluster run: on loopback, or in the Linux namespaces of a node."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from testcluster.tools import SYSTEM_PATH

__all__ = ["Loopback", "Place", "build_environment", "die_with_parent"]


class Place(Protocol):
    """Where programs run."""

    @property
    def address(self) -> str:
        """The address on which servers listen for tests and for the cluster."""

    @property
    def nested(self) -> bool:
        """Whether `command` enters namespaces first, so that the program is its child process."""

    def command(self, *argv: str | Path) -> list[str]:
        """Return the command line that runs `argv` in this place."""


@dataclass(frozen=True, slots=True)
class Loopback:
    """This machine's loopback."""

    address: str = "127.0.0.1"
    nested: bool = False

    def command(self, *argv: str | Path) -> list[str]:
        """Return the command line that runs `argv` until this process ends."""
        return die_with_parent(*argv)


def die_with_parent(*argv: str | Path) -> list[str]:
    """Return a command line whose program the kernel kills when this process ends, also after a crash.

    The kernel watches the thread that started the program, so start it in the main thread.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]


def build_environment() -> dict[str, str]:
    """Return the environment of a cluster's programs: minimal, and without a proxy."""
    return {"PATH": SYSTEM_PATH, "HOME": "/", "TMPDIR": tempfile.gettempdir()}
