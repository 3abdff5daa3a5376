"""What is there: a snapshot that `plan` decides on. Whoever applies fills it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from kubevoice.resources.stages import Progress, StageFailure
from pydantic import BaseModel, ValidationError

__all__ = ["JobObservation", "JobPhase", "Observed", "ReplicaObservation", "ServiceObservation"]

Result = TypeVar("Result", bound=BaseModel)


class JobPhase(StrEnum):
    """Where a Job stands."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class JobObservation:
    """One Job; `message` is its container's termination message."""

    phase: JobPhase
    message: str = ""
    exit_code: int | None = None
    progress: Progress | None = None
    pod: str | None = None

    def result(self, kind: type[Result]) -> Result | None:
        """Return what a Job that succeeded answered; None if it did not, or cannot be understood."""
        if self.phase is not JobPhase.SUCCEEDED:
            return None
        try:
            return kind.model_validate_json(self.message)
        except ValidationError:
            return None

    def failure(self) -> StageFailure:
        """Return why the Job failed; a container that was killed leaves no message, so the exit code must do."""
        try:
            return StageFailure.model_validate_json(self.message)
        except ValidationError:
            pass
        if self.phase is JobPhase.SUCCEEDED:
            return StageFailure(reason="BadResult", message=f"the Job's result cannot be read: {self.message[:200]!r}")
        killed = "; it was killed, perhaps for using too much memory" if self.exit_code in (137, -9) else ""
        return StageFailure(
            reason="Killed", message=f"the container ended with {self.exit_code}{killed}", retryable=True
        )


@dataclass(frozen=True, slots=True)
class ReplicaObservation:
    """What one replica says over HTTP that it serves: revisions by voice."""

    replica: str
    revisions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ServiceObservation:
    """The RayService: which rendering of it was applied last, and what its replicas say."""

    applied: str
    url: str | None = None
    replicas: tuple[ReplicaObservation, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is there, Jobs by name."""

    dataset: str = ""
    """What the dataset looks like from outside; another value makes prepare read it again."""
    jobs: Mapping[str, JobObservation] = field(default_factory=dict)
    service: ServiceObservation | None = None
