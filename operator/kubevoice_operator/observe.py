"""What is there: a snapshot that `plan` decides on. Whoever applies fills it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from kubevoice.resources.conditions import Reason
from kubevoice.resources.stages import Progress, Stage, StageFailure
from pydantic import BaseModel, ValidationError

__all__ = [
    "CANARY",
    "STABLE",
    "ExposureObservation",
    "JobObservation",
    "JobPhase",
    "Observed",
    "ReplicaObservation",
    "ServiceObservation",
    "TrackTraffic",
    "Trouble",
]

Result = TypeVar("Result", bound=BaseModel)

STABLE, CANARY = "stable", "canary"
"""The two tracks a replica can belong to."""
KILLED = (137, -9)


class JobPhase(StrEnum):
    """Where a Job stands."""

    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a pod from doing its work, as Kubernetes tells it."""

    reason: Reason
    message: str
    pod: str


@dataclass(frozen=True, slots=True)
class JobObservation:
    """One Job; `message` is its container's termination message."""

    phase: JobPhase
    message: str = ""
    exit_code: int | None = None
    progress: Progress | None = None
    pod: str | None = None
    address: str | None = None
    """Where its pod tells how far it is, once it has an address."""
    reason: str = ""
    """Kubernetes' word for how it ended, such as DeadlineExceeded or OOMKilled."""
    stage: Stage | None = None
    shape: str | None = None
    """Hash of where and how its pods run (see `render.job.shape`); None where that does not matter."""
    deleting: bool = False
    finished_at: datetime | None = None
    trouble: Trouble | None = None

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.phase in (JobPhase.QUEUED, JobPhase.RUNNING)

    def result(self, kind: type[Result]) -> Result | None:
        """Return what a Job that succeeded answered; None if it did not, or cannot be understood."""
        if self.phase is not JobPhase.SUCCEEDED:
            return None
        try:
            return kind.model_validate_json(self.message)
        except ValidationError:
            return None

    def failure(self) -> StageFailure:
        """Return why the Job failed; a container that was killed leaves no message, so Kubernetes' word must do."""
        if self.reason == "DeadlineExceeded":
            message = "it took longer than spec.training.activeDeadlineSeconds; allow more time, or train fewer steps"
            return StageFailure(reason=Reason.DEADLINE_EXCEEDED, message=message)
        if self.reason == "OOMKilled":
            message = "it used more memory than it may; raise spec.training.resources.limits.memory"
            return StageFailure(reason=Reason.OUT_OF_MEMORY, message=message)
        try:
            return StageFailure.model_validate_json(self.message)
        except ValidationError:
            pass
        if self.phase is JobPhase.SUCCEEDED:
            found = f": {self.message[:200]!r}" if self.message else ": its pod is gone"
            return StageFailure(reason="BadResult", message=f"the Job's result cannot be read{found}", retryable=True)
        killed = "; it was killed, perhaps for using too much memory" if self.exit_code in KILLED else ""
        return StageFailure(
            reason="Killed", message=f"the container ended with {self.exit_code}{killed}", retryable=True
        )


@dataclass(frozen=True, slots=True)
class ReplicaObservation:
    """What one replica says over HTTP that it serves: revisions by voice."""

    replica: str
    revisions: Mapping[str, str]
    track: str = STABLE
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TrackTraffic:
    """What became of the requests of one track since its revision appeared."""

    requests: int
    errors: int
    p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class ServiceObservation:
    """The RayService: which rendering of it was applied last, and what its replicas say."""

    applied: str
    url: str | None = None
    replicas: tuple[ReplicaObservation, ...] = ()
    answers: bool = False
    """Whether the HTTP side answers, also when there is no replica."""
    error: str | None = None
    canary_error: str | None = None
    """Why the canary's application has failed, if it has."""
    traffic: Mapping[str, TrackTraffic] = field(default_factory=dict)
    cluster: str | None = None
    """Name of the RayCluster that answers."""
    bounds: tuple[int, int] | None = None
    """Fewest and most worker pods of that RayCluster; None where nobody scales pods."""
    workers: int = 0
    """How many worker pods it has, those that are leaving counted."""
    trouble: Trouble | None = None
    settled: bool = True
    """Whether what was applied is what answers: no other RayCluster is being prepared to take over."""


@dataclass(frozen=True, slots=True)
class ExposureObservation:
    """Ingress, HTTPRoute and NetworkPolicy, by kind: which rendering was applied last, and why one cannot be made."""

    applied: Mapping[str, str] = field(default_factory=dict)
    hindered: Mapping[str, tuple[Reason, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is there, Jobs by name."""

    dataset: str = ""
    """What the dataset looks like from outside; another value makes prepare read it again."""
    jobs: Mapping[str, JobObservation] = field(default_factory=dict)
    service: ServiceObservation | None = None
    serving_missing: str | None = None
    """Why RayServices cannot be made at all, if so."""
    refused: str | None = None
    """What the API server said when it refused a Job."""
    serving_refused: str | None = None
    """What it said when it refused a change of the RayService or of its RayCluster."""
    exposure: ExposureObservation | None = None
    """None where there is no cluster for a voice to be reached through."""
