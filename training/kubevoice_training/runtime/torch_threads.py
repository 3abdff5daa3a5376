"""How many threads torch computes with."""

import torch

from kubevoice_training.runtime import cpu_limits

__all__ = ["limit_threads"]


def limit_threads(processes: int) -> None:
    """Let torch use no more threads than the pod's CPU limit allows; without a limit nothing changes.

    Parameters
    ----------
    processes
        Processes of the pod, which share the limit.
    """
    if (limit := cpu_limits.read_cpu_limit()) is not None:
        torch.set_num_threads(min(torch.get_num_threads(), max(1, limit // processes)))
