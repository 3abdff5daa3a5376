"""The value of a condition."""

from dataclasses import dataclass

from kubevoice.resources.conditions import Reason, State

__all__ = ["ConditionValue"]


@dataclass(frozen=True, slots=True)
class ConditionValue:
    """Status, reason and message of a condition, before its time and generation are added."""

    state: State
    reason: Reason
    message: str = ""
