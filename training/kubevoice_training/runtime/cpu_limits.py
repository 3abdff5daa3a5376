"""How many cores a pod may use: torch counts those of its node, and threads beyond the limit wait for one another."""

import math
from pathlib import Path

__all__ = ["limit"]

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of control groups, version 2: microseconds of CPU time a period, or `max`, and the period."""


def limit(quota: Path = QUOTA) -> int | None:
    """Return the cores that the control group's CPU time is worth, at least one; None if it has no limit."""
    try:
        spent, period = quota.read_text(encoding="ascii").split()
        return max(1, math.ceil(int(spent) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None
