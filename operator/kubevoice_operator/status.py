"""Telling: the status of a VoiceModel from how far its chain is and what its replicas say. Pure."""

from dataclasses import dataclass
from datetime import datetime

from kubevoice.resources.conditions import Condition, ConditionType, Reason, State, find, with_condition
from kubevoice.resources.stages import Stage, Verdict
from kubevoice.resources.status import (
    DatasetStatus,
    EmotionShare,
    LastFailure,
    Phase,
    Replicas,
    Revision,
    RevisionState,
    ServingStatus,
    TrainingStatus,
    VoiceModelStatus,
)
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.chain import Chain, Step
from kubevoice_operator.observe import JobPhase, Observed

__all__ = ["Target", "describe"]

Facts = tuple[State, Reason, str]
PHASES = {Stage.PREPARE: Phase.PREPARING, Stage.TRAIN: Phase.TRAINING, Stage.RELEASE: Phase.RELEASING}
VERDICTS = {
    Verdict.PASSED: (State.TRUE, Reason.GATE_PASSED),
    Verdict.FAILED: (State.FALSE, Reason.GATE_FAILED),
    Verdict.REPORTED: (State.TRUE, Reason.GATE_REPORTED),
}


@dataclass(frozen=True, slots=True)
class Target:
    """The revision that should be served, and where its bundle is."""

    revision: str
    uri: str
    pinned: bool = False


def _failed(step: Step) -> bool:
    """Tell whether a step's Job ended without a result that can be used."""
    return step.job is not None and step.job.phase is not JobPhase.RUNNING


def _stage_facts(chain: Chain, stage: Stage, message: str, *, done: bool, held: bool) -> Facts:
    if done:
        return State.TRUE, Reason.SUCCEEDED, message
    step = chain.last
    if step.stage is not stage:
        return State.UNKNOWN, Reason.WAITING, f"waits for {step.stage}"
    if step.job is None:
        if held:
            return State.UNKNOWN, Reason.SUSPENDED, "held by spec.training.suspend"
        return State.UNKNOWN, Reason.WAITING, f"{stage} is about to start"
    if _failed(step):
        failure = step.job.failure()
        reason = Reason.INVALID_INPUT if failure.reason == "InvalidInput" else Reason.JOB_FAILED
        return State.FALSE, reason, failure.message
    progress = f": {step.job.progress.percent:g} %" if step.job.progress else ""
    return State.UNKNOWN, Reason.RUNNING, f"{stage} is running{progress}"


def _serving_facts(model: VoiceModel, serving: ServingStatus, observed: Observed) -> Facts:
    if model.spec.serving.suspend:
        return State.FALSE, Reason.SUSPENDED, "stopped by spec.serving.suspend"
    if serving.target_revision is None:
        return State.FALSE, Reason.WAITING, "no revision has been released"
    if observed.service is not None and observed.service.error:
        return State.FALSE, Reason.SERVING_FAILED, observed.service.error
    if serving.replicas.ready == 0:
        return State.FALSE, Reason.ROLLING_OUT, "no replica answers yet"
    return State.TRUE, Reason.SERVING, f"{serving.replicas.ready} replicas answer"


def _serving(model: VoiceModel, observed: Observed, target: Target | None) -> ServingStatus:
    by_revision: dict[str, int] = {}
    replicas = observed.service.replicas if observed.service else ()
    for replica in replicas:
        if (revision := replica.revisions.get(model.metadata.name)) is not None:
            by_revision[revision] = by_revision.get(revision, 0) + 1
    return ServingStatus(
        revision=next(iter(by_revision)) if len(by_revision) == 1 else None,
        target_revision=target.revision if target else None,
        replicas=Replicas(
            desired=0 if model.spec.serving.suspend else max(model.spec.serving.min_replicas, len(replicas)),
            ready=sum(by_revision.values()),
            by_revision=by_revision,
        ),
        url=observed.service.url if observed.service else None,
    )


def _training(model: VoiceModel, chain: Chain) -> TrainingStatus:
    total = model.spec.training.max_steps
    step = next((step for step in chain.steps if step.stage is Stage.TRAIN), None)
    progress = step.job.progress if step and step.job else None
    trained = chain.trained
    percent = 100.0 if trained else progress.percent if progress else 0.0
    return TrainingStatus(
        step=total if trained else progress.step if progress else 0,
        max_steps=total,
        percent=percent,
        loss=trained.loss if trained else progress.loss if progress else None,
        dev_loss=trained.dev_loss if trained else progress.dev_loss if progress else None,
        eta_seconds=progress.eta_seconds if progress and not trained else None,
        checkpoint=trained.checkpoint_uri if trained else None,
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


def _revisions(model: VoiceModel, chain: Chain, target: Target | None, now: datetime) -> tuple[Revision, ...]:
    """Put the released bundle in front, mark what serves, and keep what the history limit allows."""
    known = {revision.digest: revision for revision in model.status.revisions}
    if (released := chain.released) is not None and released.revision not in known:
        new = Revision(
            digest=released.revision,
            uri=released.uri,
            created_at=now,
            generation=model.metadata.generation,
            metrics=released.metrics,
            verdict=released.verdict,
            state=RevisionState.SUPERSEDED,
        )
        known = {new.digest: new} | known
    marked = []
    for revision in known.values():
        refused = released is not None and revision.digest == released.revision and released.verdict is Verdict.FAILED
        rejected = refused or revision.state is RevisionState.REJECTED
        state = RevisionState.REJECTED if rejected else RevisionState.SUPERSEDED
        if target is not None and revision.digest == target.revision:
            state = RevisionState.SERVING
        marked.append(revision.model_copy(update={"state": state}))
    kept = [r for r in marked if r.state is RevisionState.SERVING]
    others = [r for r in marked if r.state is not RevisionState.SERVING]
    kept += others[: max(0, model.spec.revision_history_limit - len(kept))]
    return tuple(revision for revision in marked if revision in kept)


def _last_failure(model: VoiceModel, chain: Chain, now: datetime) -> LastFailure | None:
    step = chain.last
    if not _failed(step) or chain.released is not None or step.job is None:
        return model.status.last_failure
    failure, before = step.job.failure(), model.status.last_failure
    if before is not None and (before.stage, before.message) == (step.stage, failure.message):
        return before
    return LastFailure(
        stage=step.stage,
        reason=failure.reason,
        message=failure.message,
        exit_code=step.job.exit_code,
        pod=step.job.pod,
        time=now,
        retryable=failure.retryable,
    )


def _evaluated(chain: Chain) -> Facts:
    if (released := chain.released) is None:
        return State.UNKNOWN, Reason.WAITING, "nothing to judge yet"
    state, reason = VERDICTS[released.verdict]
    return state, reason, "; ".join(released.failures) or "every figure is within its threshold"


def describe(
    model: VoiceModel, chain: Chain, observed: Observed, target: Target | None, now: datetime
) -> VoiceModelStatus:
    """Return the status to show; transition times move only where a condition's status does."""
    spec = model.spec
    held = spec.training.suspend
    serving = _serving(model, observed, target)
    stages = {
        ConditionType.DATASET_READY: _stage_facts(
            chain, Stage.PREPARE, "features are ready", done=chain.prepared is not None, held=held
        ),
        ConditionType.TRAINED: _stage_facts(
            chain, Stage.TRAIN, "the checkpoint is ready", done=chain.trained is not None, held=held
        ),
        ConditionType.RELEASED: _stage_facts(
            chain, Stage.RELEASE, "the bundle is published", done=chain.released is not None, held=held
        ),
    }
    available = _serving_facts(model, serving, observed)
    current = target is not None and serving.revision == target.revision
    failed = any(state is State.FALSE for state, _, _ in stages.values())
    evaluated = _evaluated(chain)
    ready = (
        available
        if available[0] is not State.TRUE
        else (
            (State.TRUE, Reason.SERVING, "every replica serves the target revision")
            if current
            else (State.FALSE, Reason.ROLLING_OUT, "replicas do not yet serve the target revision")
        )
    )
    busy = not failed and not held and (chain.released is None or (target is not None and not current))
    degraded = failed or evaluated[0] is State.FALSE or available[1] is Reason.SERVING_FAILED
    suspended = spec.training.suspend or spec.serving.suspend
    facts: dict[ConditionType, Facts] = {
        ConditionType.READY: ready,
        **stages,
        ConditionType.EVALUATED: evaluated,
        ConditionType.AVAILABLE: available,
        ConditionType.PROGRESSING: (State.TRUE, Reason.RUNNING, "") if busy else (State.FALSE, Reason.IDLE, ""),
        ConditionType.DEGRADED: (State.TRUE, Reason.JOB_FAILED if failed else available[1], "see the other conditions")
        if degraded
        else (State.FALSE, Reason.HEALTHY, ""),
        ConditionType.SUSPENDED: (State.TRUE, Reason.SUSPENDED, "")
        if suspended
        else (State.FALSE, Reason.NOT_SUSPENDED, ""),
    }
    conditions = model.status.conditions
    for kind, (state, reason, message) in facts.items():
        condition = Condition(
            type=kind,
            status=state,
            reason=reason,
            message=message[:4096],
            observed_generation=model.metadata.generation,
            last_transition_time=now,
        )
        conditions = with_condition(conditions, condition)
    return VoiceModelStatus(
        observed_generation=model.metadata.generation,
        phase=_phase(model, conditions, chain),
        conditions=conditions,
        dataset=_dataset(chain, model.status.dataset),
        training=_training(model, chain),
        revisions=_revisions(model, chain, target, now),
        serving=serving,
        last_failure=_last_failure(model, chain, now),
    )


def _phase(model: VoiceModel, conditions: tuple[Condition, ...], chain: Chain) -> Phase:
    def holds(kind: ConditionType) -> bool:
        found = find(conditions, kind)
        return found is not None and found.status is State.TRUE

    if model.spec.serving.suspend or (model.spec.training.suspend and chain.released is None):
        return Phase.SUSPENDED
    if any(_failed(step) for step in chain.steps[-1:]) and chain.released is None:
        return Phase.FAILED
    if chain.released is None:
        return PHASES[chain.last.stage] if chain.last.job is not None else Phase.PENDING
    if holds(ConditionType.READY):
        return Phase.READY
    if chain.released.verdict is Verdict.FAILED and not model.status.serving.revision:
        return Phase.FAILED
    return Phase.ROLLING_OUT
