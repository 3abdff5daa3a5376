"""Condition types and reasons: they are API, so they live in one place."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from kubevoice.resources.schema import StatusPart

__all__ = ["Condition", "ConditionType", "Reason", "State", "find_condition", "with_condition"]


class ConditionType(StrEnum):
    """What a condition is about; True is the good side of all but Degraded, Progressing and Suspended."""

    READY = "Ready"
    DATASET_READY = "DatasetReady"
    TRAINED = "Trained"
    EVALUATED = "Evaluated"
    RELEASED = "Released"
    AVAILABLE = "Available"
    EXPOSED = "Exposed"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    SUSPENDED = "Suspended"


class State(StrEnum):
    """A condition's status."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition is as it is."""

    WAITING = "Waiting"
    RUNNING = "Running"
    QUEUED = "Queued"
    INTERRUPTED = "Interrupted"
    RETRYING = "Retrying"
    SUCCEEDED = "Succeeded"
    NO_DATASET = "NoDataset"
    INVALID_INPUT = "InvalidInput"
    JOB_FAILED = "JobFailed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    OUT_OF_MEMORY = "OutOfMemory"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    POD_CONFIG_ERROR = "PodConfigError"
    POD_CRASHING = "PodCrashing"
    STORAGE_ERROR = "StorageError"
    INVALID_SPEC = "InvalidSpec"
    REFUSED_BY_API = "RefusedByApi"
    DELETION_BLOCKED = "DeletionBlocked"
    GATE_PASSED = "GatePassed"
    GATE_FAILED = "GateFailed"
    GATE_REPORTED = "GateReported"
    SERVING = "Serving"
    ROLLING_OUT = "RollingOut"
    SERVING_FAILED = "ServingFailed"
    POOL_NOT_READY = "PoolNotReady"
    KUBERAY_NOT_INSTALLED = "KubeRayNotInstalled"
    GATEWAY_API_NOT_INSTALLED = "GatewayApiNotInstalled"
    EXPOSED = "Exposed"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    CANARY_RUNNING = "CanaryRunning"
    CANARY_BACKED_OUT = "CanaryBackedOut"
    PINNED = "Pinned"
    SUSPENDED = "Suspended"
    NOT_SUSPENDED = "NotSuspended"
    IDLE = "Idle"
    HEALTHY = "Healthy"


class Condition(StatusPart):
    """One condition, as in metav1.Condition."""

    type: ConditionType = Field(description="What the condition is about.")
    status: State = Field(description="Whether it holds.")
    reason: Reason = Field(description="Why, for programs.")
    message: str = Field("", max_length=4096, description="Why, for people.")
    observed_generation: int = Field(0, ge=0, description="Generation of the spec this is about.")
    last_transition_time: datetime = Field(description="When the status last changed.")


def find_condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """Find the condition of a type.

    Parameters
    ----------
    conditions
        The conditions of a status.
    kind
        The type.

    Returns
    -------
    Condition or None
        None if there is none of the type.
    """
    return next((condition for condition in conditions if condition.type is kind), None)


def with_condition(conditions: Iterable[Condition], new: Condition) -> tuple[Condition, ...]:
    """Replace the condition of a type. The transition time changes only when the status does.

    Parameters
    ----------
    conditions
        The conditions of a status.
    new
        The new condition.

    Returns
    -------
    tuple of Condition
        All conditions, in the same order.
    """
    current = tuple(conditions)
    if (old := find_condition(current, new.type)) is None:
        return (*current, new)
    if old.status is new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return tuple(new if condition is old else condition for condition in current)
