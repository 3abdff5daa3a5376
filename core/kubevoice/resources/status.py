"""The status of a VoiceModel, written by the operator."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from kubevoice.resources.conditions import Condition
from kubevoice.resources.schema import StatusPart, list_type

__all__ = [
    "DatasetStatus",
    "Display",
    "EmotionShare",
    "LastFailure",
    "Phase",
    "Replicas",
    "Revision",
    "RevisionState",
    "RolloutStatus",
    "ServingStatus",
    "TrainingStatus",
    "VoiceModelStatus",
    "VoicePoolStatus",
]


class Phase(StrEnum):
    """One word for people, derived from the conditions; programs read the conditions."""

    PENDING = "Pending"
    PREPARING = "Preparing"
    TRAINING = "Training"
    RELEASING = "Releasing"
    ROLLING_OUT = "RollingOut"
    READY = "Ready"
    SUSPENDED = "Suspended"
    FAILED = "Failed"


class EmotionShare(StatusPart):
    """How much speech one emotion has."""

    clips: int = Field(description="Recordings.")
    seconds: float = Field(description="Their length together.")


class DatasetStatus(StatusPart):
    """What the dataset holds."""

    digest: str = Field("", max_length=128, description="Digest of its content.")
    clips: int = Field(0, description="Recordings.")
    seconds: float = Field(0, description="Their length together.")
    per_emotion: dict[str, EmotionShare] = Field(default_factory=dict, description="The same for each emotion.")
    warnings: tuple[str, ...] = Field(
        (), max_length=50, description="What could be better.", json_schema_extra=list_type("atomic")
    )


class TrainingStatus(StatusPart):
    """Progress of training."""

    step: int = Field(0, description="Optimiser steps done.")
    max_steps: int = Field(0, description="Optimiser steps in all.")
    percent: float = Field(0, description="The same in percent.")
    loss: float | None = Field(None, description="Loss of the last step.")
    dev_loss: float | None = Field(None, description="Loss on the dev set.")
    eta_seconds: float | None = Field(None, description="Estimated seconds that remain.")
    checkpoint: str | None = Field(None, max_length=1024, description="Where the trained checkpoint is.")
    job_name: str | None = Field(None, max_length=253, description="The Job that trains.")


class RevisionState(StrEnum):
    """The state of a revision."""

    SERVING = "Serving"
    CANARY = "Canary"
    SUPERSEDED = "Superseded"
    REJECTED = "Rejected"


class Revision(StatusPart):
    """One released voice bundle."""

    digest: str = Field(max_length=128, description="Digest of the bundle.")
    uri: str = Field("", max_length=1024, description="Where the bundle is.")
    created_at: datetime = Field(description="When it was released.")
    generation: int = Field(0, description="Generation of the spec it came from.")
    metrics: dict[str, float] = Field(default_factory=dict, description="What was measured.")
    verdict: str = Field("", max_length=64, description="Result of the quality gate.")
    state: RevisionState = Field(description="Its state.")
    reason: str = Field("", max_length=1024, description="Why it was rejected.")
    artifacts: tuple[str, ...] = Field(
        (),
        max_length=8,
        description="Its artifacts, relative to the voice's folder in spec.storage.artifactsUri.",
        json_schema_extra=list_type("atomic"),
    )


class Replicas(StatusPart):
    """Replicas, as they report themselves."""

    desired: int = Field(0, ge=0, description="Replicas that are wanted.")
    ready: int = Field(0, ge=0, description="Ready replicas.")
    by_revision: dict[str, int] = Field(default_factory=dict, description="How many serve each revision.")


class RolloutStatus(StatusPart):
    """A revision on its way to all replicas."""

    revision: str = Field(max_length=128, description="The revision that is being rolled out.")
    started_at: datetime = Field(description="When it began.")
    step: int | None = Field(None, description="Step of spec.serving.rollout.steps, from 0; unset if not a canary.")
    step_started_at: datetime | None = Field(None, description="When the step first received requests.")


class ServingStatus(StatusPart):
    """What is served."""

    revision: str | None = Field(None, max_length=128, description="The revision every replica serves.")
    target_revision: str | None = Field(None, max_length=128, description="The revision that should be served.")
    replicas: Replicas = Field(Replicas(), description="Replicas, as they report themselves.")
    url: str | None = Field(None, max_length=1024, description="Base URL for applications.")
    pool: str | None = Field(None, max_length=253, description="The VoicePool that serves it.")
    canary_weight: int | None = Field(None, description="Percent of requests a canary gets.")
    selector: str | None = Field(None, max_length=1024, description="Label selector of the replicas, for autoscalers.")
    rollout: RolloutStatus | None = Field(None, description="A revision on its way to all replicas.")


class LastFailure(StatusPart):
    """The last failure."""

    stage: str = Field(max_length=64, description="Stage that failed.")
    reason: str = Field(max_length=64, description="Why, for programs.")
    message: str = Field("", max_length=4096, description="Why, for people, and what to do.")
    exit_code: int | None = Field(None, description="Exit code of the container.")
    pod: str | None = Field(None, max_length=253, description="The pod it happened in.")
    job_name: str | None = Field(None, max_length=253, description="The Job it happened in.")
    attempts: int = Field(1, ge=1, description="How often the same Job has failed.")
    time: datetime = Field(description="When.")
    retryable: bool = Field(False, description="Whether a retry may succeed.")


class Display(StatusPart):
    """What `kubectl get` shows, written for people."""

    progress: str = Field("", max_length=64, description="Progress of the current stage.")
    eta: str = Field("", max_length=64, description="Estimated time that training still takes.")
    revision: str = Field("", max_length=64, description="The first twelve digits of what is served.")
    ready: str = Field("", max_length=64, description="Ready replicas, of those wanted.")


class VoiceModelStatus(StatusPart):
    """The status of a VoiceModel, written by the operator."""

    observed_generation: int = Field(0, description="Generation of the spec this status is about.")
    phase: Phase = Field(Phase.PENDING, description="One word for people.")
    conditions: tuple[Condition, ...] = Field(
        (), max_length=16, description="The state for programs.", json_schema_extra=list_type("map", "type")
    )
    dataset: DatasetStatus = Field(DatasetStatus(), description="What the dataset holds.")
    training: TrainingStatus = Field(TrainingStatus(), description="Progress of training.")
    revisions: tuple[Revision, ...] = Field(
        (), max_length=100, description="Released bundles, newest first.", json_schema_extra=list_type("map", "digest")
    )
    serving: ServingStatus = Field(ServingStatus(), description="What is served.")
    last_failure: LastFailure | None = Field(None, description="The last failure; unset once the stage succeeds.")
    display: Display = Field(Display(), description="What `kubectl get` shows.")


class PoolVoices(StatusPart):
    """The voices of a pool."""

    desired: int = Field(0, ge=0, description="VoiceModels that want to be served by it.")
    ready: int = Field(0, ge=0, description="Those whose target revision every replica serves.")
    resident: int = Field(0, ge=0, description="Voices in the memory of the replica that has most.")
    resident_megabytes: int = Field(0, ge=0, description="What they take there, in units of 2**20 bytes.")


class PoolDisplay(StatusPart):
    """What `kubectl get` shows, written for people."""

    voices: str = Field("", max_length=64, description="Ready voices, of those wanted.")
    ready: str = Field("", max_length=64, description="Ready replicas, of those wanted.")
    memory: str = Field("", max_length=64, description="Memory of loaded voices, of what they may have.")


class VoicePoolStatus(StatusPart):
    """The status of a VoicePool, written by the operator."""

    observed_generation: int = Field(0, description="Generation of the spec this status is about.")
    conditions: tuple[Condition, ...] = Field(
        (), max_length=16, description="The state for programs.", json_schema_extra=list_type("map", "type")
    )
    voices: PoolVoices = Field(PoolVoices(), description="The voices.")
    replicas: Replicas = Field(Replicas(), description="Replicas, as they report themselves.")
    url: str | None = Field(None, max_length=1024, description="Base URL for applications.")
    selector: str | None = Field(None, max_length=1024, description="Label selector of the replicas, for autoscalers.")
    display: PoolDisplay = Field(PoolDisplay(), description="What `kubectl get` shows.")
