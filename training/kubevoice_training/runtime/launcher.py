"""Several processes of one pod, one a GPU: started together, stopped together, with one exit code.

torchrun would do, but it answers 1 whatever its processes answered, and kills after 30 s what is still saving itself.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType

__all__ = ["launch"]

GRACE_SECONDS = 90.0
"""Time for the others to end after the first that failed, or after a stop: one of them may be uploading."""


def launch(command: Sequence[str], processes: int, environ: Mapping[str, str]) -> int:
    """Run `command` in `processes` processes and wait; return 0, or the exit code of the first that failed.

    Each is told its RANK, LOCAL_RANK, WORLD_SIZE and LOCAL_WORLD_SIZE; the pod's own place among KUBEVOICE_NODES pods
    is its JOB_COMPLETION_INDEX. SIGTERM and SIGINT are passed on.
    """
    index = environ.get("JOB_COMPLETION_INDEX")
    nodes, node = (int(environ.get("KUBEVOICE_NODES", "1")), int(index)) if index is not None else (1, 0)
    children: dict[int, subprocess.Popen[bytes]] = {}

    def tell(number: int) -> None:
        # Not Popen.send_signal: it takes the exit code of a child that has ended, which the loop below waits for.
        for pid in list(children):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        tell(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    for local in range(processes):
        place = {"RANK": node * processes + local, "LOCAL_RANK": local}
        place |= {"WORLD_SIZE": nodes * processes, "LOCAL_WORLD_SIZE": processes}
        child = subprocess.Popen(command, env={**environ, **{k: str(v) for k, v in place.items()}})  # noqa: S603
        children[child.pid] = child
    last_resort = threading.Timer(GRACE_SECONDS, tell, (signal.SIGKILL,))
    last_resort.daemon = True
    answer = 0
    while children:
        pid, status = os.wait()
        if (ended := children.pop(pid, None)) is None:
            continue
        ended.returncode = code = os.waitstatus_to_exitcode(status)
        if code and not answer:
            answer = code if code > 0 else 128 - code
            tell(signal.SIGTERM)
            last_resort.start()
    last_resort.cancel()
    return answer
