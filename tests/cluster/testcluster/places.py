"""Where the programs of a cluster run: on this machine, or in namespaces of a node."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from testcluster.tools import SYSTEM_PATH

__all__ = ["Loopback", "Place", "environment", "until_we_die"]


class Place(Protocol):
    """Where programs run."""

    @property
    def address(self) -> str:
        """Where servers listen, so that the tests and the cluster reach them."""

    @property
    def nested(self) -> bool:
        """Whether `command` enters namespaces, so that the program is its child."""

    def command(self, *argv: str | Path) -> list[str]:
        """Return the command line that runs `argv` there."""


@dataclass(frozen=True, slots=True)
class Loopback:
    """This machine's loopback."""

    address: str = "127.0.0.1"
    nested: bool = False

    def command(self, *argv: str | Path) -> list[str]:
        """Return the command line that runs `argv` as long as we live."""
        return until_we_die(*argv)


def until_we_die(*argv: str | Path) -> list[str]:
    """Return a command line whose program the kernel kills when we die, in whatever way.

    More exactly: when the thread ends that started it, so start it from the main one.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]


def environment() -> dict[str, str]:
    """Return what the programs of a cluster see of our environment: next to nothing, least of all a proxy."""
    return {"PATH": SYSTEM_PATH, "HOME": "/", "TMPDIR": tempfile.gettempdir()}
