"""The observed state that `plan` decides on: Jobs, replicas, exposure. The backends fill it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from kubevoice.resources.conditions import Reason
from kubevoice.resources.data_plane import ReplicaState, Track, TrackTraffic
from kubevoice.resources.stages import Progress, Stage, StageFailure
from pydantic import BaseModel, ValidationError

__all__ = [
    "JobPhase",
    "ObservedExposure",
    "ObservedJob",
    "ObservedPool",
    "ObservedService",
    "ObservedState",
    "PodIssue",
]

Result = TypeVar("Result", bound=BaseModel)

KILLED = (137, -9)


class JobPhase(StrEnum):
    """The phase of a Job."""

    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class PodIssue:
    """What keeps a pod from running, as Kubernetes reports it."""

    reason: Reason
    message: str
    pod: str
    """Its name; empty if the API server refuses to create it."""

    @property
    def description(self) -> str:
        """The message with the name of the pod."""
        return f"pod {self.pod}: {self.message}" if self.pod else self.message


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """One Job. `message` is the termination message of its container."""

    phase: JobPhase
    message: str = ""
    exit_code: int | None = None
    progress: Progress | None = None
    pod: str | None = None
    address: str | None = None
    """IP address of the pod that reports progress; None until it has one."""
    reason: str = ""
    """Kubernetes' reason for its end, such as DeadlineExceeded or OOMKilled; empty if there is none."""
    stage: Stage | None = None
    template_hash: str | None = None
    """Hash of where and how its pods run (see `render.job.pod_template_hash`); None on one machine."""
    deleting: bool = False
    finished_at: datetime | None = None
    pod_issue: PodIssue | None = None

    @property
    def active(self) -> bool:
        """Whether the Job has not ended."""
        return self.phase in (JobPhase.QUEUED, JobPhase.RUNNING)

    def result(self, kind: type[Result]) -> Result | None:
        """Parse the result of the Job.

        Parameters
        ----------
        kind
            The stage's result type.

        Returns
        -------
        Result or None
            None if the Job has not succeeded, or its message cannot be parsed.
        """
        if self.phase is not JobPhase.SUCCEEDED:
            return None
        try:
            return kind.model_validate_json(self.message)
        except ValidationError:
            return None

    def failure(self) -> StageFailure:
        """Return why the Job failed: the container's own message, or Kubernetes' reason if it was killed.

        Returns
        -------
        StageFailure
            With reason, message and whether trying again may help.
        """
        if self.reason == "DeadlineExceeded":
            message = "it took longer than spec.training.activeDeadlineSeconds; allow more time, or train fewer steps"
            return StageFailure(reason=Reason.DEADLINE_EXCEEDED, message=message)
        if self.reason == "OOMKilled":
            message = "it exceeded its memory limit; raise spec.training.resources.limits.memory"
            return StageFailure(reason=Reason.OUT_OF_MEMORY, message=message)
        try:
            return StageFailure.model_validate_json(self.message)
        except ValidationError:
            pass
        if self.phase is JobPhase.SUCCEEDED:
            detail = f": {self.message[:200]!r}" if self.message else ": its pod is gone"
            return StageFailure(reason="BadResult", message=f"the Job's result cannot be read{detail}", retryable=True)
        killed = "; it was killed, perhaps because it exceeded its memory limit" if self.exit_code in KILLED else ""
        return StageFailure(
            reason="Killed", message=f"the container ended with {self.exit_code}{killed}", retryable=True
        )


@dataclass(frozen=True, slots=True)
class ObservedService:
    """The RayService: the hash of what was applied last, and what its replicas report."""

    applied: str
    url: str | None = None
    replicas: tuple[ReplicaState, ...] = ()
    answers: bool = False
    """Whether the ingress deployment answers, even if there is no replica."""
    error: str | None = None
    canary_error: str | None = None
    """Why the canary application has failed; None if it has not."""
    start_error: str | None = None
    """Why the last replica could not start, while Ray Serve tries again; None if none failed."""
    traffic: Mapping[Track, TrackTraffic] = field(default_factory=dict)
    cluster: str | None = None
    """Name of the active RayCluster."""
    bounds: tuple[int, int] | None = None
    """Minimum and maximum worker pods of that RayCluster; None on one machine."""
    workers: int = 0
    """Number of its worker pods, terminating ones included."""
    pod_issue: PodIssue | None = None
    obsolete_cluster: str | None = None
    """Name of a RayCluster that is prepared without a pod and is not what was applied last: it blocks every change."""
    settled: bool = True
    """Whether KubeRay has observed what was applied and prepares no other RayCluster."""
    min_replicas: int | None = None
    """Of the pool that it belongs to; None for a VoiceModel's own."""


@dataclass(frozen=True, slots=True)
class ObservedPool:
    """A VoicePool, as one of its voices sees it."""

    name: str
    service: ObservedService | None = None
    """Its RayService; what its replicas report is about this voice alone."""
    problem: str | None = None
    """Why it cannot serve the voice, and what to do; None if it can."""


@dataclass(frozen=True, slots=True)
class ObservedExposure:
    """Ingress, HTTPRoute and NetworkPolicy by kind: hashes of what was applied last, and errors of what was refused."""

    applied: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, tuple[Reason, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObservedState:
    """Everything that was observed of one VoiceModel; Jobs by name."""

    input_version: str = ""
    """A new value makes the first stage run again: the refresh annotation; on one machine a hash of the contents."""
    jobs: Mapping[str, ObservedJob] = field(default_factory=dict)
    service: ObservedService | None = None
    """The VoiceModel's own RayService."""
    pool: ObservedPool | None = None
    """The pool that the spec names."""
    previous_pool: ObservedPool | None = None
    """The pool that served the voice last, if the spec names another one or none."""
    serving_missing: str | None = None
    """Why RayServices cannot be created at all; None if they can."""
    job_refusal: str | None = None
    """The API server's message when it refused a Job; None if it did not."""
    serving_refusal: str | None = None
    """Its message when it refused a change of the RayService or of its RayCluster; None if it did not."""
    serving_deletion: str | None = None
    """What a deleted RayService of the same name waits for, once it has waited for long; None otherwise."""
    exposure: ObservedExposure | None = None
    """None on one machine."""
    retries: bool = True
    """Whether a failed Job is tried again; on one machine nothing runs when `kubevoice up` has ended."""
