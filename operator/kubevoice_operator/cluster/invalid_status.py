"""The status of a VoiceModel that the API server accepted but this operator cannot parse."""

from datetime import datetime
from typing import Any

from kubevoice.resources.conditions import ConditionType, Reason, State
from kubevoice.resources.status import Phase, VoiceModelStatus
from kubevoice.validation import describe_errors
from pydantic import ValidationError

from kubevoice_operator.condition_value import ConditionValue, update_conditions

__all__ = ["invalid_status"]


def invalid_status(raw: Any, error: ValidationError, now: datetime) -> VoiceModelStatus:
    """Build the status that names each invalid field; the rest of the previous status is kept if it can be parsed.

    Parameters
    ----------
    raw
        The VoiceModel as the API server sent it.
    error
        Why it cannot be parsed.
    now
        Time of this reconciliation.

    Returns
    -------
    VoiceModelStatus
        With Ready false, and the invalid fields in its message.
    """
    try:
        before = VoiceModelStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        before = VoiceModelStatus()
    problems = "; ".join(describe_errors(error.errors()))
    generation = int(raw["metadata"].get("generation", 0))
    values = {
        kind: ConditionValue(state, Reason.INVALID_SPEC, problems)
        for kind, state in ((ConditionType.READY, State.FALSE), (ConditionType.DEGRADED, State.TRUE))
    }
    conditions = update_conditions(before.conditions, values, generation, now)
    update = {"observed_generation": generation, "phase": Phase.FAILED, "conditions": conditions}
    return before.model_copy(update=update)
