"""The conditions of a VoiceModel's status, computed from its pipeline and what was observed. Pure."""

from kubevoice.digests import short_digest
from kubevoice.resources.conditions import ConditionType, Reason, State
from kubevoice.resources.stages import GateResult, Stage
from kubevoice.resources.status import RevisionState, ServingStatus
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.condition_value import ConditionValue
from kubevoice_operator.exposure_plan import ExposurePlan
from kubevoice_operator.jobs import RETRYABLE_REASONS
from kubevoice_operator.observed_state import JobPhase, ObservedState
from kubevoice_operator.pipeline import Pipeline
from kubevoice_operator.render.names import Owner, object_name
from kubevoice_operator.rollout import RolloutDecision
from kubevoice_operator.serving_conditions import build_available_condition, build_rollout_condition

__all__ = ["build_conditions", "build_exposed_condition"]

GATE_CONDITIONS = {
    GateResult.PASSED: (State.TRUE, Reason.GATE_PASSED),
    GateResult.FAILED: (State.FALSE, Reason.GATE_FAILED),
    GateResult.REPORTED: (State.TRUE, Reason.GATE_REPORTED),
}
NO_DATASET = ConditionValue(State.TRUE, Reason.NO_DATASET, "without spec.dataset the base voice is released as it is")
FAILURES = {
    "InvalidInput": Reason.INVALID_INPUT,
    "DeadlineExceeded": Reason.DEADLINE_EXCEEDED,
    "OutOfMemory": Reason.OUT_OF_MEMORY,
    "StorageError": Reason.STORAGE_ERROR,
}


def _stage_condition(  # noqa: PLR0911  # one state each
    pipeline: Pipeline, observed: ObservedState, stage: Stage, done_message: str, *, done: bool, suspended: bool
) -> ConditionValue:
    if done:
        return ConditionValue(State.TRUE, Reason.SUCCEEDED, done_message)
    step = pipeline.last
    if step.stage is not stage:
        return ConditionValue(State.UNKNOWN, Reason.WAITING, f"waits for {step.stage}")
    job = step.job
    if job is None or (suspended and job.active):
        if suspended:
            return ConditionValue(State.UNKNOWN, Reason.SUSPENDED, "suspended by spec.training.suspend")
        if observed.job_refusal:
            return ConditionValue(State.FALSE, Reason.REFUSED_BY_API, observed.job_refusal)
        return ConditionValue(State.UNKNOWN, Reason.WAITING, f"{stage} is about to start")
    if pipeline.failed_step is not None:
        failure = job.failure()
        reason = FAILURES.get(failure.reason, Reason.JOB_FAILED)
        again = "; it will be tried again" if observed.retries else "; run kubevoice up to try it again"
        return ConditionValue(
            State.FALSE, reason, failure.message + (again if failure.reason in RETRYABLE_REASONS else "")
        )
    if job.phase is JobPhase.QUEUED:
        return ConditionValue(State.UNKNOWN, Reason.QUEUED, f"Job {step.job_name} waits to be admitted by Kueue")
    if job.pod_issue is not None:
        return ConditionValue(State.FALSE, job.pod_issue.reason, job.pod_issue.description)
    if job.progress is None:
        return ConditionValue(State.UNKNOWN, Reason.RUNNING, f"{stage} is running")
    return ConditionValue(State.UNKNOWN, Reason.RUNNING, f"{stage} is running: {job.progress.percent:g} %")


def _evaluated_condition(model: VoiceModel, pipeline: Pipeline) -> ConditionValue:
    if (released := pipeline.released) is None:
        return ConditionValue(State.UNKNOWN, Reason.WAITING, "no bundle to evaluate yet")
    state, reason = GATE_CONDITIONS[released.verdict]
    limited = any(value is not None for name, value in model.spec.evaluation if name.startswith(("max_", "min_")))
    passed = "every metric is within its threshold" if limited else "measured; spec.evaluation sets no threshold"
    return ConditionValue(state, reason, "; ".join(released.failures) or passed)


def build_exposed_condition(owner: Owner, observed: ObservedState, exposure: ExposurePlan) -> ConditionValue | None:
    """Compute Exposed of a VoiceModel or a VoicePool.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.
    observed
        What was observed.
    exposure
        Which exposure objects should exist, and which are not as they should be.

    Returns
    -------
    ConditionValue or None
        None if spec.serving.expose asks for nothing or there is no cluster to expose the voice on.
    """
    if observed.exposure is None or not exposure.kinds:
        return None
    for kind in exposure.kinds:
        if kind in observed.exposure.errors:
            reason, message = observed.exposure.errors[kind]
            return ConditionValue(State.FALSE, reason, f"{kind}: {message}")
    if exposure.apply:
        missing = ", ".join(item["kind"] for item in exposure.apply)
        return ConditionValue(State.UNKNOWN, Reason.WAITING, f"{missing} is about to be created")
    return ConditionValue(
        State.TRUE, Reason.EXPOSED, f"{', '.join(exposure.kinds)} {object_name(owner)} as in spec.serving.expose"
    )


def _ready_condition(
    model: VoiceModel,
    pipeline: Pipeline,
    serving: ServingStatus,
    stages: dict[ConditionType, ConditionValue],
    available: ConditionValue,
    rolled_out: ConditionValue,
) -> ConditionValue:
    """Return Ready: whether replicas serve the spec as it is written; if not, the first thing that is missing."""
    # The serving revision does not change until the new one is ready.
    still_serving = f"; revision {short_digest(serving.revision)} keeps serving" if serving.revision else ""
    if available.state is not State.TRUE and serving.target_revision is not None:
        return available
    if model.spec.revision is None:
        for condition in stages.values():
            if condition.state is not State.TRUE:
                return ConditionValue(State.FALSE, condition.reason, f"{condition.message}{still_serving}")
        evaluated = _evaluated_condition(model, pipeline)
        if evaluated.state is State.FALSE:
            return ConditionValue(State.FALSE, evaluated.reason, f"{evaluated.message}{still_serving}")
        for revision in model.status.revisions:
            if (
                pipeline.released
                and revision.digest == pipeline.released.revision
                and revision.state is RevisionState.REJECTED
            ):
                return ConditionValue(State.FALSE, Reason.CANARY_BACKED_OUT, f"{revision.reason}{still_serving}")
    return rolled_out if available.state is State.TRUE else available


def build_conditions(
    model: VoiceModel,
    pipeline: Pipeline,
    observed: ObservedState,
    rollout: RolloutDecision,
    exposure: ExposurePlan,
    serving: ServingStatus,
) -> dict[ConditionType, ConditionValue]:
    """Compute the value of every condition.

    Parameters
    ----------
    model
        The VoiceModel; its `status.revisions` must be those of this reconciliation (see `revisions.update_history`).
    pipeline
        How far the stages of the wanted revision are.
    observed
        What was observed of Jobs, replicas and exposure.
    rollout
        The decision about which revision answers.
    exposure
        Which exposure objects should exist, and which are not as they should be.
    serving
        The serving part of the status that is about to be written.

    Returns
    -------
    dict
        A value for each condition type; Exposed is there only if spec.serving.expose asks for something.
    """
    training_suspended = model.spec.training.suspend
    results = (
        (ConditionType.DATASET_READY, Stage.PREPARE, pipeline.prepared, "features are ready"),
        (ConditionType.TRAINED, Stage.TRAIN, pipeline.trained, "the checkpoint is ready"),
        (ConditionType.RELEASED, Stage.RELEASE, pipeline.released, "the bundle is published"),
    )
    stages = {
        kind: _stage_condition(
            pipeline, observed, stage, message, done=result is not None, suspended=training_suspended
        )
        for kind, stage, result, message in results
    }
    if model.spec.dataset is None:
        stages |= dict.fromkeys((ConditionType.DATASET_READY, ConditionType.TRAINED), NO_DATASET)
    available, evaluated = build_available_condition(model, serving, observed), _evaluated_condition(model, pipeline)
    rolled_out = build_rollout_condition(model, serving, observed, rollout)
    exposed = build_exposed_condition(model, observed, exposure)
    ready = _ready_condition(model, pipeline, serving, stages, available, rolled_out)
    if ready.state is State.TRUE and exposed is not None and exposed.state is State.FALSE:
        ready = exposed
    degraded = _degraded_condition([*stages.values(), evaluated, available, rolled_out, ready])
    suspended = training_suspended or model.spec.serving.suspend
    stage_failed = any(condition.state is State.FALSE for condition in stages.values())
    progressing = (
        not stage_failed
        and ((pipeline.released is None and not training_suspended) or rollout.status is not None)
        and not rollout.overdue
    )
    return {
        ConditionType.READY: ready,
        **stages,
        ConditionType.EVALUATED: evaluated,
        ConditionType.AVAILABLE: available,
        **({ConditionType.EXPOSED: exposed} if exposed else {}),
        ConditionType.PROGRESSING: ConditionValue(State.TRUE, Reason.RUNNING)
        if progressing
        else ConditionValue(State.FALSE, Reason.IDLE),
        ConditionType.DEGRADED: degraded,
        ConditionType.SUSPENDED: ConditionValue(State.TRUE, Reason.SUSPENDED)
        if suspended
        else ConditionValue(State.FALSE, Reason.NOT_SUSPENDED),
    }


TRANSIENT_REASONS = (
    Reason.WAITING,
    Reason.RUNNING,
    Reason.QUEUED,
    Reason.SUSPENDED,
    Reason.ROLLING_OUT,
    Reason.CANARY_RUNNING,
)
"""Reasons of a false condition that need no action: it is expected to become true."""


def _degraded_condition(conditions: list[ConditionValue]) -> ConditionValue:
    """Return Degraded: true with the first condition that is false for a reason that does not pass by itself."""
    for condition in conditions:
        if condition.state is State.FALSE and condition.reason not in TRANSIENT_REASONS:
            return ConditionValue(State.TRUE, condition.reason, condition.message)
    return ConditionValue(State.FALSE, Reason.HEALTHY)
