"""Command that a worker pod runs before it ends: `python -m kubevoice_serving.routing.drain SECONDS`.

It tells Ray to drain the node. Ray then starts a replica elsewhere if there is room, sends this one no more
requests and lets it finish those it has. The pod ends when replica and proxy have ended, when the head has
ended, or when the time is over.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

BUSY_PROCESSES = (b"ray::ServeReplica", b"ray::ProxyActor", b"ray::HAProxyManager")
"""Titles of Ray's processes for a replica, and for the HTTP proxy before the HTTP process."""
POLL_SECONDS, CONNECT_SECONDS = 0.5, 3.0


def _is_head_reachable() -> bool:
    """Return whether the head, named by RAY_ADDRESS, accepts connections; without the head there are no requests."""
    host, _, port = os.environ.get("RAY_ADDRESS", "").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _is_busy() -> bool:
    """Return whether a replica or a proxy is among the processes of this container."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if name.startswith(BUSY_PROCESSES):
                return True
    return False


def _start_drain(seconds: int) -> "subprocess.Popen[bytes]":
    """Start the command that tells Ray to drain this node within `seconds`."""
    reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the pod ends"]
    deadline = ["--deadline-remaining-seconds", str(seconds)]
    return subprocess.Popen([sys.executable, "-m", "ray.scripts.scripts", "drain-node", *reason, *deadline])  # noqa: S603  # fixed arguments


def _drain(seconds: int) -> bool:
    """Drain this node; False if the command fails, or if it takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    if not _is_head_reachable():
        return False
    with _start_drain(seconds) as command:
        while command.poll() is None or _is_busy():
            failed = command.returncode not in (None, 0)
            if failed or time.monotonic() > deadline or not _is_head_reachable():
                command.kill()
                return False
            time.sleep(POLL_SECONDS)
    return command.returncode == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Drain this node.

    Parameters
    ----------
    arguments : sequence of str or None
        Arguments of the command line; None takes those of the process.

    Returns
    -------
    int
        0 when no replica or proxy runs on the node any more, 1 if draining failed or took too long.
    """
    parser = argparse.ArgumentParser(prog="kubevoice_serving.routing.drain", description="Drain this Ray node.")
    parser.add_argument("seconds", type=int, help="how long it may take")
    return 0 if _drain(parser.parse_args(arguments).seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
