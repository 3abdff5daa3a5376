"""The status of a VoiceModel, built from its pipeline and what was observed of its replicas. Pure."""

from datetime import datetime

from kubevoice.digests import short_digest
from kubevoice.resources.conditions import ConditionType, Reason, State
from kubevoice.resources.stages import Stage
from kubevoice.resources.status import (
    DatasetStatus,
    Display,
    EmotionShare,
    LastFailure,
    Phase,
    Replicas,
    Revision,
    ServingStatus,
    TrainingStatus,
    VoiceModelStatus,
)
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.condition_value import ConditionValue, replace_conditions
from kubevoice_operator.conditions import build_conditions
from kubevoice_operator.exposure_plan import ExposurePlan
from kubevoice_operator.observed_state import ObservedState
from kubevoice_operator.pipeline import Pipeline
from kubevoice_operator.pool_membership import serving_pool
from kubevoice_operator.render.names import VOICE_LABEL, WORKERS_SELECTOR
from kubevoice_operator.rollout import RolloutDecision, count_min_replicas

__all__ = ["build_status", "human_duration"]

PHASES = {Stage.PREPARE: Phase.PREPARING, Stage.TRAIN: Phase.TRAINING, Stage.RELEASE: Phase.RELEASING}
ROLLOUT = "rollout"
"""The stage that lastFailure names for failures of serving."""
POD_ISSUE_REASONS = (
    Reason.RETRYING,
    Reason.OUT_OF_MEMORY,
    Reason.UNSCHEDULABLE,
    Reason.IMAGE_PULL_FAILED,
    Reason.POD_CONFIG_ERROR,
    Reason.POD_CRASHING,
    Reason.REFUSED_BY_API,
)
"""Reasons of a Job that still runs but whose pods have a problem."""


def _build_serving(model: VoiceModel, observed: ObservedState, rollout: RolloutDecision) -> ServingStatus:
    service = observed.service
    replicas = service.replicas if service else ()
    by_revision: dict[str, int] = {}
    for replica in replicas:
        if (revision := replica.voices.get(model.metadata.name)) is not None:
            by_revision[revision] = by_revision.get(revision, 0) + 1
    traffic, target = rollout.traffic, rollout.target
    least, pool = count_min_replicas(model, service), serving_pool(model, observed)
    asleep = target if not replicas and service and service.answers and not least else None
    return ServingStatus(
        revision=next(iter(by_revision)) if len(by_revision) == 1 else asleep.revision if asleep else None,
        target_revision=target.revision if target else None,
        replicas=Replicas(
            desired=0 if model.spec.serving.suspend else max(least, len(replicas)),
            ready=sum(by_revision.values()),
            by_revision=dict(sorted(by_revision.items())),
        ),
        url=service.url if service else None,
        canary_weight=traffic.weight if traffic and traffic.canary else None,
        pool=pool,
        selector=None if pool else f"{VOICE_LABEL}={model.metadata.name},{WORKERS_SELECTOR}",
        rollout=rollout.status,
    )


def _build_training(model: VoiceModel, pipeline: Pipeline) -> TrainingStatus:
    if model.spec.dataset is None:
        return TrainingStatus()
    total = model.spec.training.max_steps
    step = next((step for step in pipeline.steps if step.stage is Stage.TRAIN), None)
    progress = step.job.progress if step and step.job else None
    if (trained := pipeline.trained) is not None and step is not None:
        return TrainingStatus(
            step=total,
            max_steps=total,
            percent=100.0,
            loss=trained.loss,
            dev_loss=trained.dev_loss,
            checkpoint=trained.checkpoint_uri,
            job_name=step.job_name,
        )
    before = model.status.training
    if progress is None and step is not None and before.job_name == step.job_name:
        return before.model_copy(
            update={"eta_seconds": None}
        )  # its pod is being replaced; its progress is kept in a checkpoint
    return TrainingStatus(
        step=progress.step if progress else 0,
        max_steps=total,
        percent=progress.percent if progress else 0.0,
        loss=progress.loss if progress else None,
        dev_loss=progress.dev_loss if progress else None,
        eta_seconds=progress.eta_seconds if progress else None,
        job_name=step.job_name if step else None,
    )


def _dataset(model: VoiceModel, pipeline: Pipeline) -> DatasetStatus:
    if model.spec.dataset is None:
        return DatasetStatus()
    if (prepared := pipeline.prepared) is None:
        return model.status.dataset
    return DatasetStatus(
        digest=prepared.dataset_digest,
        clips=prepared.clips,
        seconds=prepared.seconds,
        per_emotion={k: EmotionShare(clips=v.clips, seconds=v.seconds) for k, v in prepared.per_emotion.items()},
        warnings=prepared.warnings,
    )


def _stage_failure(model: VoiceModel, pipeline: Pipeline, now: datetime) -> LastFailure | None:
    """Return the failure of the step at which the pipeline stopped; `attempts` counts failures of its Job."""
    step, before = pipeline.last, model.status.last_failure
    if step.job is None or pipeline.released is not None:
        return None
    if pipeline.failed_step is not None:
        failure = step.job.failure()
        reason, message, retryable = failure.reason, failure.message, failure.retryable
    elif step.job.pod_issue is not None:
        reason, message, retryable = str(step.job.pod_issue.reason), step.job.pod_issue.message, True
    else:
        return None
    same = before if before is not None and before.job_name == step.job_name else None
    when = step.job.finished_at or (same.time if same and same.message == message else now)
    # A Job whose pod had a problem and that then failed has failed once, not twice.
    was_pod_issue = same is not None and same.retryable and same.reason in POD_ISSUE_REASONS
    again = same is not None and same.time != when and not was_pod_issue
    return LastFailure(
        stage=step.stage,
        reason=reason,
        message=message,
        exit_code=step.job.exit_code,
        pod=step.job.pod,
        job_name=step.job_name,
        attempts=(same.attempts if same else 1) + (1 if again and pipeline.failed_step is not None else 0),
        time=when,
        retryable=retryable,
    )


def _last_failure(
    model: VoiceModel,
    pipeline: Pipeline,
    conditions: dict[ConditionType, ConditionValue],
    rollout: RolloutDecision,
    now: datetime,
) -> LastFailure | None:
    """Return the last failure; None once the VoiceModel is Ready."""
    if (failure := _stage_failure(model, pipeline, now)) is not None:
        return failure
    ready, degraded = conditions[ConditionType.READY], conditions[ConditionType.DEGRADED]
    if ready.state is State.TRUE:
        return None
    before = model.status.last_failure
    if pipeline.released is None or degraded.state is not State.TRUE:
        return before
    if before is not None and (before.reason, before.message) == (degraded.reason, degraded.message):
        return before
    return LastFailure(
        stage=Stage.RELEASE if rollout.target is None else ROLLOUT,
        reason=degraded.reason,
        message=degraded.message,
        time=now,
        retryable=rollout.overdue or rollout.status is not None,
    )


def human_duration(seconds: float) -> str:
    """Write a duration as kubectl does: 45s, 12m30s, 3h5m, 2d4h.

    Parameters
    ----------
    seconds
        The duration.

    Returns
    -------
    str
        The two largest units.
    """
    total = max(0, round(seconds))
    for unit, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if total >= unit:
            rest = total % unit // part
            return f"{total // unit}{name}{rest}{part_name}" if rest else f"{total // unit}{name}"
    return f"{total}s"


def _display(pipeline: Pipeline, training: TrainingStatus, serving: ServingStatus) -> Display:
    job = pipeline.last.job
    progress, eta = "", ""
    if pipeline.released is not None:
        progress = "100%"
    elif pipeline.last.stage is Stage.TRAIN:
        progress = f"{training.percent:.0f}%"
        eta = human_duration(training.eta_seconds) if training.eta_seconds is not None else ""
    elif job is not None and job.progress is not None:
        progress = f"{job.progress.percent:.0f}%"
    revision = serving.revision or (
        max(serving.replicas.by_revision, key=serving.replicas.by_revision.__getitem__)
        if serving.replicas.by_revision
        else ""
    )
    return Display(
        progress=progress,
        eta=eta,
        revision=short_digest(revision),
        ready=f"{serving.replicas.ready}/{serving.replicas.desired}",
    )


def _phase(model: VoiceModel, conditions: dict[ConditionType, ConditionValue], pipeline: Pipeline) -> Phase:
    is_released = pipeline.released is not None or model.spec.revision is not None
    if model.spec.serving.suspend if is_released else model.spec.training.suspend:
        return Phase.SUSPENDED
    ready = conditions[ConditionType.READY]
    if ready.state is State.TRUE:
        return Phase.READY
    if pipeline.released is None and model.spec.revision is None:
        if pipeline.failed_step is not None:
            return Phase.FAILED
        return PHASES[pipeline.last.stage] if pipeline.last.job is not None else Phase.PENDING
    degraded = conditions[ConditionType.DEGRADED].state is State.TRUE
    return Phase.FAILED if degraded else Phase.ROLLING_OUT


def build_status(
    model: VoiceModel,
    pipeline: Pipeline,
    observed: ObservedState,
    rollout: RolloutDecision,
    exposure: ExposurePlan,
    revisions: tuple[Revision, ...],
    now: datetime,
) -> VoiceModelStatus:
    """Build the whole status.

    Parameters
    ----------
    model
        The VoiceModel with its status as it was written last.
    pipeline
        How far the stages of the wanted revision are.
    observed
        What was observed of Jobs, replicas and exposure.
    rollout
        The decision about which revision answers.
    exposure
        Which exposure objects should exist, and which are not as they should be.
    revisions
        The revision history of this reconciliation, the newest first.
    now
        The time of this reconciliation.

    Returns
    -------
    VoiceModelStatus
        The status to write. A condition's transition time changes only when its status does.
    """
    serving, training = _build_serving(model, observed, rollout), _build_training(model, pipeline)
    model = model.model_copy(update={"status": model.status.model_copy(update={"revisions": revisions})})
    values = build_conditions(model, pipeline, observed, rollout, exposure, serving)
    conditions = replace_conditions(model.status.conditions, values, model.metadata.generation, now)
    return VoiceModelStatus(
        observed_generation=model.metadata.generation,
        phase=_phase(model, values, pipeline),
        conditions=conditions,
        dataset=_dataset(model, pipeline),
        training=training,
        revisions=revisions,
        serving=serving,
        last_failure=_last_failure(model, pipeline, values, rollout, now),
        display=_display(pipeline, training, serving),
    )
