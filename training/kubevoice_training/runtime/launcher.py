"""Several processes of one pod, one for each GPU: started together, stopped together, with one exit code.

torchrun is not used for this: it exits with 1 whatever its processes exited with, and kills a process that is still
saving after 30 s.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType

__all__ = ["launch_processes"]

GRACE_SECONDS = 90.0
"""Time for the others to end after the first that failed: one of them may be uploading a checkpoint."""


def launch_processes(command: Sequence[str], processes: int, environ: Mapping[str, str]) -> int:
    """Run a command in several processes and wait for all of them. SIGTERM and SIGINT are passed on.

    Parameters
    ----------
    command
        Program and arguments.
    processes
        Number of processes in this pod.
    environ
        Environment of each process; RANK, LOCAL_RANK, WORLD_SIZE and LOCAL_WORLD_SIZE are added. The pod's index
        among KUBEVOICE_NODES pods is its JOB_COMPLETION_INDEX.

    Returns
    -------
    int
        0, or the exit code of the first process that failed.
    """
    index = environ.get("JOB_COMPLETION_INDEX")
    nodes, node = (int(environ.get("KUBEVOICE_NODES", "1")), int(index)) if index is not None else (1, 0)
    children: dict[int, subprocess.Popen[bytes]] = {}

    def signal_children(number: int) -> None:
        # Not Popen.send_signal: it takes the exit code of a child that has ended, which the loop below waits for.
        for pid in list(children):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        signal_children(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    for local_rank in range(processes):
        ranks = {"RANK": node * processes + local_rank, "LOCAL_RANK": local_rank}
        ranks |= {"WORLD_SIZE": nodes * processes, "LOCAL_WORLD_SIZE": processes}
        child = subprocess.Popen(command, env={**environ, **{k: str(v) for k, v in ranks.items()}})  # noqa: S603
        children[child.pid] = child
    kill_timer = threading.Timer(GRACE_SECONDS, signal_children, (signal.SIGKILL,))
    kill_timer.daemon = True
    exit_code = 0
    while children:
        pid, status = os.wait()
        if (ended := children.pop(pid, None)) is None:
            continue
        ended.returncode = code = os.waitstatus_to_exitcode(status)
        if code and not exit_code:
            exit_code = code if code > 0 else 128 - code
            signal_children(signal.SIGTERM)
            kill_timer.start()
    kill_timer.cancel()
    return exit_code
