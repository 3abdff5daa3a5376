"""What is true of a VoiceModel, one fact a condition. Pure."""

from dataclasses import dataclass

from kubevoice.resources.conditions import ConditionType, Reason, State
from kubevoice.resources.stages import Stage, Verdict
from kubevoice.resources.status import RevisionState, ServingStatus
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.chain import Chain, Step
from kubevoice_operator.jobs import WORTH_RETRYING
from kubevoice_operator.observe import JobPhase, Observed
from kubevoice_operator.render.exposure import render_exposure
from kubevoice_operator.render.names import content_hash
from kubevoice_operator.rollout import Rollout

__all__ = ["Fact", "facts", "failed"]

VERDICTS = {
    Verdict.PASSED: (State.TRUE, Reason.GATE_PASSED),
    Verdict.FAILED: (State.FALSE, Reason.GATE_FAILED),
    Verdict.REPORTED: (State.TRUE, Reason.GATE_REPORTED),
}
FAILURES = {
    "InvalidInput": Reason.INVALID_INPUT,
    "DeadlineExceeded": Reason.DEADLINE_EXCEEDED,
    "OutOfMemory": Reason.OUT_OF_MEMORY,
    "StorageError": Reason.STORAGE_ERROR,
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A condition's content."""

    state: State
    reason: Reason
    message: str = ""


def failed(step: Step) -> bool:
    """Tell whether a step's Job ended without a result that can be used; the chain stops there."""
    return step.job is not None and step.job.phase in (JobPhase.SUCCEEDED, JobPhase.FAILED)


def _stage(  # noqa: PLR0911  # one state each
    chain: Chain, stage: Stage, done_message: str, *, done: bool, held: bool, refused: str | None
) -> Fact:
    if done:
        return Fact(State.TRUE, Reason.SUCCEEDED, done_message)
    step = chain.last
    if step.stage is not stage:
        return Fact(State.UNKNOWN, Reason.WAITING, f"waits for {step.stage}")
    job = step.job
    if job is None or (held and job.active):
        if held:
            return Fact(State.UNKNOWN, Reason.SUSPENDED, "held by spec.training.suspend")
        if refused:
            return Fact(State.FALSE, Reason.REFUSED_BY_API, refused)
        return Fact(State.UNKNOWN, Reason.WAITING, f"{stage} is about to start")
    if failed(step):
        failure = job.failure()
        reason = FAILURES.get(failure.reason, Reason.JOB_FAILED)
        again = "; it will be tried again" if failure.reason in WORTH_RETRYING else ""
        return Fact(State.FALSE, reason, f"{failure.message}{again}")
    if job.phase is JobPhase.QUEUED:
        return Fact(State.UNKNOWN, Reason.QUEUED, f"Job {step.job_name} waits to be admitted by Kueue")
    if job.trouble is not None:
        return Fact(State.FALSE, job.trouble.reason, f"pod {job.trouble.pod}: {job.trouble.message}")
    if job.progress is None:
        return Fact(State.UNKNOWN, Reason.RUNNING, f"{stage} is running")
    return Fact(State.UNKNOWN, Reason.RUNNING, f"{stage} is running: {job.progress.percent:g} %")


def _evaluated(chain: Chain) -> Fact:
    if (released := chain.released) is None:
        return Fact(State.UNKNOWN, Reason.WAITING, "nothing to judge yet")
    state, reason = VERDICTS[released.verdict]
    return Fact(state, reason, "; ".join(released.failures) or "every figure is within its threshold")


def _available(  # noqa: PLR0911  # one state each
    model: VoiceModel, serving: ServingStatus, observed: Observed
) -> Fact:
    """Whether anything answers, whatever its revision."""
    service = observed.service
    if model.spec.serving.suspend:
        return Fact(State.FALSE, Reason.SUSPENDED, "stopped by spec.serving.suspend")
    if serving.replicas.ready:
        return Fact(State.TRUE, Reason.SERVING, f"{serving.replicas.ready} replicas answer")
    if serving.revision is not None:
        return Fact(State.TRUE, Reason.SERVING, "no replica runs; the next request starts one")
    if serving.target_revision is None:
        return Fact(State.FALSE, Reason.WAITING, "no revision has been released")
    if observed.serving_missing:
        return Fact(State.FALSE, Reason.KUBERAY_NOT_INSTALLED, observed.serving_missing)
    if service is not None and service.trouble:
        return Fact(State.FALSE, service.trouble.reason, f"pod {service.trouble.pod}: {service.trouble.message}")
    if service is not None and service.error:
        return Fact(State.FALSE, Reason.SERVING_FAILED, service.error)
    if observed.serving_refused:
        return Fact(State.FALSE, Reason.REFUSED_BY_API, observed.serving_refused)
    return Fact(State.FALSE, Reason.ROLLING_OUT, "no replica answers yet")


def _rolled_out(model: VoiceModel, serving: ServingStatus, observed: Observed, rollout: Rollout) -> Fact:
    """Whether every replica serves the target, given that some answer."""
    service = observed.service
    if serving.revision == serving.target_revision and rollout.status is None:
        if observed.serving_refused:
            # The revision is the same: an image, resources or options of the spec are not what runs.
            return Fact(State.FALSE, Reason.REFUSED_BY_API, f"replicas run as before; {observed.serving_refused}")
        if rollout.pinned:
            return Fact(State.TRUE, Reason.PINNED, "every replica serves the revision that spec.revision names")
        return Fact(State.TRUE, Reason.SERVING, "every replica serves the target revision")
    if rollout.traffic and rollout.traffic.canary:
        return Fact(State.FALSE, Reason.CANARY_RUNNING, f"a canary gets {rollout.traffic.weight} % of the requests")
    reason, message = Reason.ROLLING_OUT, "replicas do not yet serve the target revision"
    if service is not None and not service.settled and serving.revision == serving.target_revision:
        message = "the Ray cluster that shall take over is not ready yet"
    if rollout.overdue:
        limit = model.spec.serving.rollout.progress_deadline_seconds
        reason, message = Reason.PROGRESS_DEADLINE_EXCEEDED, f"{message} after {limit} s"
    if causes := _causes(observed):
        cause, said = causes[0]
        reason, message = reason if rollout.overdue else cause, f"{message}; {said}"
    return Fact(State.FALSE, reason, message)


def _causes(observed: Observed) -> list[tuple[Reason, str]]:
    """List what keeps a revision from being served, the most telling first."""
    service, found = observed.service, []
    if service is not None and service.trouble is not None:
        found.append((service.trouble.reason, service.trouble.message))
    found += [(Reason.SERVING_FAILED, r.error) for r in (service.replicas if service else ()) if r.error]
    if observed.serving_refused:
        found.append((Reason.REFUSED_BY_API, observed.serving_refused))
    return found


def _exposed(model: VoiceModel, observed: Observed) -> Fact | None:
    """Whether what spec.serving.expose asks for is there; None if it asks for nothing, or nobody can make it."""
    wanted = {item["kind"]: content_hash(item) for item in render_exposure(model)}
    if (exposure := observed.exposure) is None or not wanted:
        return None
    for kind in wanted:
        if kind in exposure.hindered:
            reason, message = exposure.hindered[kind]
            return Fact(State.FALSE, reason, f"{kind}: {message}")
    missing = [kind for kind, rendered in wanted.items() if exposure.applied.get(kind) != rendered]
    if missing:
        return Fact(State.UNKNOWN, Reason.WAITING, f"{', '.join(missing)} is about to be made")
    return Fact(State.TRUE, Reason.EXPOSED, f"{', '.join(wanted)} {model.metadata.name} as in spec.serving.expose")


def _ready(
    model: VoiceModel,
    chain: Chain,
    serving: ServingStatus,
    stages: dict[ConditionType, Fact],
    rolled: tuple[Fact, Fact],
) -> Fact:
    """Whether the spec as it is written is what answers: the first thing that is missing, if not."""
    available, everywhere = rolled
    goes_on = f"; revision {serving.revision[7:19]} goes on serving" if serving.revision else ""
    if available.state is not State.TRUE and serving.target_revision is not None:
        return available
    if model.spec.revision is None:
        for fact in stages.values():
            if fact.state is not State.TRUE:
                return Fact(State.FALSE, fact.reason, f"{fact.message}{goes_on}")
        evaluated = _evaluated(chain)
        if evaluated.state is State.FALSE:
            return Fact(State.FALSE, evaluated.reason, f"{evaluated.message}{goes_on}")
        for revision in model.status.revisions:
            if (
                chain.released
                and revision.digest == chain.released.revision
                and revision.state is RevisionState.REJECTED
            ):
                return Fact(State.FALSE, Reason.CANARY_BACKED_OUT, f"{revision.reason}{goes_on}")
    return everywhere if available.state is State.TRUE else available


def facts(
    model: VoiceModel, chain: Chain, observed: Observed, rollout: Rollout, serving: ServingStatus
) -> dict[ConditionType, Fact]:
    """Return a fact for every condition, Exposed only if it is asked for; `status.revisions` must be marked already."""
    held = model.spec.training.suspend
    results = (
        (ConditionType.DATASET_READY, Stage.PREPARE, chain.prepared, "features are ready"),
        (ConditionType.TRAINED, Stage.TRAIN, chain.trained, "the checkpoint is ready"),
        (ConditionType.RELEASED, Stage.RELEASE, chain.released, "the bundle is published"),
    )
    stages = {
        kind: _stage(chain, stage, message, done=result is not None, held=held, refused=observed.refused)
        for kind, stage, result, message in results
    }
    available, evaluated = _available(model, serving, observed), _evaluated(chain)
    everywhere = _rolled_out(model, serving, observed, rollout)
    exposed = _exposed(model, observed)
    ready = _ready(model, chain, serving, stages, (available, everywhere))
    if ready.state is State.TRUE and exposed is not None and exposed.state is State.FALSE:
        ready = exposed
    unhealthy = _unhealthy([*stages.values(), evaluated, available, everywhere, ready])
    suspended = held or model.spec.serving.suspend
    broken = any(fact.state is State.FALSE for fact in stages.values())
    busy = not broken and ((chain.released is None and not held) or rollout.status is not None) and not rollout.overdue
    return {
        ConditionType.READY: ready,
        **stages,
        ConditionType.EVALUATED: evaluated,
        ConditionType.AVAILABLE: available,
        **({ConditionType.EXPOSED: exposed} if exposed else {}),
        ConditionType.PROGRESSING: Fact(State.TRUE, Reason.RUNNING) if busy else Fact(State.FALSE, Reason.IDLE),
        ConditionType.DEGRADED: unhealthy,
        ConditionType.SUSPENDED: Fact(State.TRUE, Reason.SUSPENDED)
        if suspended
        else Fact(State.FALSE, Reason.NOT_SUSPENDED),
    }


PATIENCE = (
    Reason.WAITING,
    Reason.RUNNING,
    Reason.QUEUED,
    Reason.SUSPENDED,
    Reason.ROLLING_OUT,
    Reason.CANARY_RUNNING,
)
"""Reasons that time alone mends."""


def _unhealthy(found: list[Fact]) -> Fact:
    """Return the first fact that somebody must look into as Degraded."""
    for fact in found:
        if fact.state is State.FALSE and fact.reason not in PATIENCE:
            return Fact(State.TRUE, fact.reason, fact.message)
    return Fact(State.FALSE, Reason.HEALTHY)
