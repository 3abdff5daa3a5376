"""Telling: the status of a VoiceModel from how far its chain is and what its replicas say. Pure."""

from datetime import datetime

from kubevoice.resources.conditions import Condition, ConditionType, Reason, State, with_condition
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

from kubevoice_operator.chain import Chain
from kubevoice_operator.facts import Fact, facts, failed
from kubevoice_operator.observe import Observed
from kubevoice_operator.render.names import VOICE_LABEL
from kubevoice_operator.rollout import Rollout

__all__ = ["describe", "human_duration"]

PHASES = {Stage.PREPARE: Phase.PREPARING, Stage.TRAIN: Phase.TRAINING, Stage.RELEASE: Phase.RELEASING}
ROLLOUT = "rollout"
"""What lastFailure calls serving; the other stages have their Jobs' names."""
TROUBLES = (
    Reason.RETRYING,
    Reason.OUT_OF_MEMORY,
    Reason.UNSCHEDULABLE,
    Reason.IMAGE_PULL_FAILED,
    Reason.POD_CONFIG_ERROR,
    Reason.POD_CRASHING,
)
"""What a running Job may say of its pods."""


def _serving(model: VoiceModel, observed: Observed, rollout: Rollout) -> ServingStatus:
    service = observed.service
    replicas = service.replicas if service else ()
    by_revision: dict[str, int] = {}
    for replica in replicas:
        if (revision := replica.revisions.get(model.metadata.name)) is not None:
            by_revision[revision] = by_revision.get(revision, 0) + 1
    traffic, target = rollout.traffic, rollout.target
    asleep = target if not replicas and service and service.answers and not model.spec.serving.min_replicas else None
    return ServingStatus(
        revision=next(iter(by_revision)) if len(by_revision) == 1 else asleep.revision if asleep else None,
        target_revision=target.revision if target else None,
        replicas=Replicas(
            desired=0 if model.spec.serving.suspend else max(model.spec.serving.min_replicas, len(replicas)),
            ready=sum(by_revision.values()),
            by_revision=dict(sorted(by_revision.items())),
        ),
        url=service.url if service else None,
        canary_weight=traffic.weight if traffic and traffic.canary else None,
        selector=f"{VOICE_LABEL}={model.metadata.name},ray.io/node-type=worker",
        rollout=rollout.status,
    )


def _training(model: VoiceModel, chain: Chain) -> TrainingStatus:
    total = model.spec.training.max_steps
    step = next((step for step in chain.steps if step.stage is Stage.TRAIN), None)
    progress = step.job.progress if step and step.job else None
    if (trained := chain.trained) is not None and step is not None:
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
        return before.model_copy(update={"eta_seconds": None})  # its pod is being replaced: what it did is saved
    return TrainingStatus(
        step=progress.step if progress else 0,
        max_steps=total,
        percent=progress.percent if progress else 0.0,
        loss=progress.loss if progress else None,
        dev_loss=progress.dev_loss if progress else None,
        eta_seconds=progress.eta_seconds if progress else None,
        job_name=step.job_name if step else None,
    )


def _dataset(chain: Chain, before: DatasetStatus) -> DatasetStatus:
    if (found := chain.prepared) is None:
        return before
    return DatasetStatus(
        digest=found.dataset_digest,
        clips=found.clips,
        seconds=found.seconds,
        per_emotion={k: EmotionShare(clips=v.clips, seconds=v.seconds) for k, v in found.per_emotion.items()},
        warnings=found.warnings,
    )


def _stage_failure(model: VoiceModel, chain: Chain, now: datetime) -> LastFailure | None:
    """Return the failure of the step the chain stopped at; attempts count how often its Job has failed."""
    step, before = chain.last, model.status.last_failure
    if step.job is None or chain.released is not None:
        return None
    if failed(step):
        failure = step.job.failure()
        reason, message, retryable = failure.reason, failure.message, failure.retryable
    elif step.job.trouble is not None:
        reason, message, retryable = str(step.job.trouble.reason), step.job.trouble.message, True
    else:
        return None
    same = before if before is not None and before.job_name == step.job_name else None
    when = step.job.finished_at or (same.time if same and same.message == message else now)
    # A Job whose pod was in trouble, and that then failed, has failed once.
    was_trouble = same is not None and same.retryable and same.reason in TROUBLES
    again = same is not None and same.time != when and not was_trouble
    return LastFailure(
        stage=step.stage,
        reason=reason,
        message=message,
        exit_code=step.job.exit_code,
        pod=step.job.pod,
        job_name=step.job_name,
        attempts=(same.attempts if same else 1) + (1 if again and failed(step) else 0),
        time=when,
        retryable=retryable,
    )


def _last_failure(
    model: VoiceModel, chain: Chain, found: dict[ConditionType, Fact], rollout: Rollout, now: datetime
) -> LastFailure | None:
    """Return what failed last, or None once everything is as it should be."""
    if (failure := _stage_failure(model, chain, now)) is not None:
        return failure
    ready, degraded = found[ConditionType.READY], found[ConditionType.DEGRADED]
    if ready.state is State.TRUE:
        return None
    before = model.status.last_failure
    if chain.released is None or degraded.state is not State.TRUE:
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
    """Write a duration as kubectl does: 45s, 12m30s, 3h5m, 2d4h."""
    whole = max(0, round(seconds))
    for unit, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit:
            rest = whole % unit // part
            return f"{whole // unit}{name}{rest}{part_name}" if rest else f"{whole // unit}{name}"
    return f"{whole}s"


def _display(chain: Chain, training: TrainingStatus, serving: ServingStatus) -> Display:
    job = chain.last.job
    progress, eta = "", ""
    if chain.released is not None:
        progress = "100%"
    elif chain.last.stage is Stage.TRAIN:
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
        revision=revision.removeprefix("sha256:")[:12],
        ready=f"{serving.replicas.ready}/{serving.replicas.desired}",
    )


def _phase(model: VoiceModel, found: dict[ConditionType, Fact], chain: Chain) -> Phase:
    made = chain.released is not None
    if model.spec.serving.suspend if made else model.spec.training.suspend:
        return Phase.SUSPENDED
    ready = found[ConditionType.READY]
    if ready.state is State.TRUE:
        return Phase.READY
    if chain.released is None and model.spec.revision is None:
        if failed(chain.last):
            return Phase.FAILED
        return PHASES[chain.last.stage] if chain.last.job is not None else Phase.PENDING
    degraded = found[ConditionType.DEGRADED].state is State.TRUE
    return Phase.FAILED if degraded else Phase.ROLLING_OUT


def describe(
    model: VoiceModel,
    chain: Chain,
    observed: Observed,
    rollout: Rollout,
    revisions: tuple[Revision, ...],
    now: datetime,
) -> VoiceModelStatus:
    """Return the status to show; transition times move only where a condition's status does."""
    serving, training = _serving(model, observed, rollout), _training(model, chain)
    model = model.model_copy(update={"status": model.status.model_copy(update={"revisions": revisions})})
    found = facts(model, chain, observed, rollout, serving)
    conditions = tuple(condition for condition in model.status.conditions if condition.type in found)
    for kind, fact in found.items():
        condition = Condition(
            type=kind,
            status=fact.state,
            reason=fact.reason,
            message=fact.message[:4096],
            observed_generation=model.metadata.generation,
            last_transition_time=now,
        )
        conditions = with_condition(conditions, condition)
    return VoiceModelStatus(
        observed_generation=model.metadata.generation,
        phase=_phase(model, found, chain),
        conditions=conditions,
        dataset=_dataset(chain, model.status.dataset),
        training=training,
        revisions=revisions,
        serving=serving,
        last_failure=_last_failure(model, chain, found, rollout, now),
        display=_display(chain, training, serving),
    )
