"""What a worker's pod runs before it ends: `python -m kubevoice_serving.routing.drain SECONDS`.

Ray learns that the node goes, puts a replica elsewhere if there is room, sends this one nothing more and lets it
finish what it is speaking. The pod ends when replica and proxy have gone, when the head has, or when the seconds are
over.
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

AT_WORK = (b"ray::ServeReplica", b"ray::ProxyActor", b"ray::HAProxyManager")
"""How Ray names the processes of a replica, and of what is before the HTTP side."""
LOOK_SECONDS, REACH_SECONDS = 0.5, 3.0


def _head_answers() -> bool:
    """Tell whether the head, which RAY_ADDRESS names, is there: without it no request comes and none goes."""
    host, _, port = os.environ.get("RAY_ADDRESS", "").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _busy() -> bool:
    """Tell whether a replica or a proxy is among the processes of this container."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended while we looked
            if name.startswith(AT_WORK):
                return True
    return False


def _announced(seconds: int) -> "subprocess.Popen[bytes]":
    """Begin to tell Ray that this node goes."""
    words = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the pod ends"]
    limit = ["--deadline-remaining-seconds", str(seconds)]
    return subprocess.Popen([sys.executable, "-m", "ray.scripts.scripts", "drain-node", *words, *limit])  # noqa: S603  # our own words


def _drained(seconds: int) -> bool:
    """Wait until Ray knows and nothing is at work any more; False if that cannot be, or takes too long."""
    deadline = time.monotonic() + seconds
    if not _head_answers():
        return False
    with _announced(seconds) as announcement:
        while announcement.poll() is None or _busy():
            failed = announcement.returncode not in (None, 0)
            if failed or time.monotonic() > deadline or not _head_answers():
                announcement.kill()
                return False
            time.sleep(LOOK_SECONDS)
    return announcement.returncode == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Drain this node; return 0 when nothing is at work on it any more."""
    parser = argparse.ArgumentParser(
        prog="kubevoice_serving.routing.drain", description="Let this node's requests end."
    )
    parser.add_argument("seconds", type=int, help="how long it may take")
    return 0 if _drained(parser.parse_args(arguments).seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
