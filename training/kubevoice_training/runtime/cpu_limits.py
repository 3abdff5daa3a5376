"""The CPU limit of a pod: torch counts the cores of the node, and threads beyond the limit wait for one another."""

import math
from pathlib import Path

__all__ = ["read_cpu_limit"]

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""Of control groups, version 2: the CPU time (µs) of a period, or `max`, and the period (µs)."""


def read_cpu_limit(cpu_max: Path = CPU_MAX) -> int | None:
    """Read the CPU limit of this container.

    Parameters
    ----------
    cpu_max
        The control group's file, for tests.

    Returns
    -------
    int or None
        Whole cores, rounded up; None if there is no limit.
    """
    try:
        quota, period = cpu_max.read_text(encoding="ascii").split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None
