"""The value of a condition, and how values become the conditions of a status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from kubevoice.resources.conditions import Condition, ConditionType, Reason, State, with_condition

__all__ = ["ConditionValue", "replace_conditions", "update_conditions"]


@dataclass(frozen=True, slots=True)
class ConditionValue:
    """Status, reason and message of a condition, before its time and generation are added."""

    state: State
    reason: Reason
    message: str = ""


def update_conditions(
    conditions: Iterable[Condition], values: Mapping[ConditionType, ConditionValue], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Give conditions new values. The transition time of one changes only when its status does.

    Parameters
    ----------
    conditions
        The conditions of a status; those without a new value stay as they are.
    values
        The new values by type.
    generation
        Generation of the spec that they are about.
    now
        The time of this reconciliation.

    Returns
    -------
    tuple of Condition
        All conditions, in the same order; new types come last.
    """
    updated = tuple(conditions)
    for kind, value in values.items():
        condition = Condition(
            type=kind,
            status=value.state,
            reason=value.reason,
            message=value.message,
            observed_generation=generation,
            last_transition_time=now,
        )
        updated = with_condition(updated, condition)
    return updated


def replace_conditions(
    conditions: Iterable[Condition], values: Mapping[ConditionType, ConditionValue], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Give conditions new values and drop those without one.

    Parameters
    ----------
    conditions, values, generation, now
        As for `update_conditions`.

    Returns
    -------
    tuple of Condition
        A condition for each value.
    """
    kept = (condition for condition in conditions if condition.type in values)
    return update_conditions(kept, values, generation, now)
