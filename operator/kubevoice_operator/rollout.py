"""Which revision answers: the target, and how it takes over from the one before. Pure.

Kept in the status is only what time adds: when a rollout began and which step it is in. Everything else is decided
anew from the spec, the revisions and what the replicas say, so an operator that was killed goes on where it was.
"""

from dataclasses import dataclass
from datetime import datetime

from kubevoice.resources.conditions import Reason
from kubevoice.resources.serving import Strategy
from kubevoice.resources.stages import Verdict
from kubevoice.resources.status import Revision, RevisionState, RolloutStatus
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.chain import Chain, voice_storage
from kubevoice_operator.observe import CANARY, Observed, ServiceObservation
from kubevoice_operator.render.rayservice import Bundle, Traffic

__all__ = ["Rollout", "roll_out"]

ENOUGH_REQUESTS = 20
"""Fewer requests say nothing about a canary's error rate or latency."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """What should answer now, and how far the way there is."""

    traffic: Traffic | None = None
    target: Bundle | None = None
    pinned: bool = False
    status: RolloutStatus | None = None
    """None when nothing is on its way."""
    overdue: bool = False
    """Whether the rollout takes longer than it may."""
    rejected: str | None = None
    """Why the canary is taken back, if it is."""
    recheck_seconds: float | None = None
    """When time alone changes the decision."""


def bundle_uri(model: VoiceModel, revision: str) -> str:
    """Return where release publishes a revision."""
    return f"{voice_storage(model).artifacts_uri}/bundles/{revision.removeprefix('sha256:')}"


def _stable(model: VoiceModel) -> Bundle | None:
    """Return the revision that served last."""
    for revision in model.status.revisions:
        if revision.state is RevisionState.SERVING:
            return Bundle(revision.digest, revision.uri)
    return None


def _backed_out(known: tuple[Revision, ...], digest: str) -> bool:
    return any(r.digest == digest and r.reason.startswith(Reason.CANARY_BACKED_OUT) for r in known)


def _target(model: VoiceModel, chain: Chain) -> Bundle | None:
    """Choose the pinned revision, the newest that may serve, or the one that served before."""
    if (pinned := model.spec.revision) is not None:
        return Bundle(pinned, bundle_uri(model, pinned))
    released = chain.released
    if (
        released is not None
        and released.verdict is not Verdict.FAILED
        and not _backed_out(model.status.revisions, released.revision)
    ):
        return Bundle(released.revision, released.uri)
    return _stable(model)


def _everywhere(model: VoiceModel, service: ServiceObservation | None, revision: str) -> bool:
    """Tell whether every replica says it serves `revision`, and they are those that shall serve it."""
    if service is None or not service.settled:
        return False
    replicas = service.replicas
    asleep = service.answers and model.spec.serving.min_replicas == 0
    return (bool(replicas) or asleep) and all(r.revisions.get(model.metadata.name) == revision for r in replicas)


def _complaint(model: VoiceModel, service: ServiceObservation) -> str | None:
    """Return why the canary must be taken back, by what its replicas and its requests say."""
    if service.canary_error:
        return f"it cannot be served: {service.canary_error}"
    for replica in service.replicas:
        if replica.track == CANARY and replica.error:
            return f"it cannot be loaded: {replica.error}"
    rollout, seen = model.spec.serving.rollout, service.traffic.get(CANARY)
    if seen is None or seen.requests < ENOUGH_REQUESTS:
        return None
    rate = seen.errors / seen.requests
    if rollout.max_error_rate is not None and rate > rollout.max_error_rate:
        return (
            f"{seen.errors} of its {seen.requests} requests failed; "
            f"spec.serving.rollout.maxErrorRate allows {rollout.max_error_rate:g}"
        )
    slow = rollout.max_latency_seconds
    if slow is not None and seen.p95_seconds is not None and seen.p95_seconds > slow:
        return (
            f"the 95th percentile of its latency is {seen.p95_seconds:.2f} s; "
            f"spec.serving.rollout.maxLatencySeconds allows {slow:g}"
        )
    return None


def _canary(
    model: VoiceModel, stable: Bundle, target: Bundle, begun: RolloutStatus, observed: Observed, now: datetime
) -> Rollout:
    """Decide one look at a canary: go on, wait, promote, or take it back."""
    rollout, service = model.spec.serving.rollout, observed.service
    back = Rollout(Traffic(stable), stable)
    if service is not None and (complaint := _complaint(model, service)) is not None:
        return Rollout(back.traffic, back.target, rejected=complaint)
    answering = service is not None and any(
        r.track == CANARY and r.revisions.get(model.metadata.name) == target.revision for r in service.replicas
    )
    step = begun.step or 0
    if begun.step_started_at is None:
        deadline = rollout.progress_deadline_seconds - (now - begun.started_at).total_seconds()
        if not answering and deadline <= 0:
            return Rollout(
                back.traffic,
                back.target,
                rejected=f"it did not answer within {rollout.progress_deadline_seconds} s",
            )
        since = now if answering else None
        left = float(rollout.steps[step].pause_seconds) if answering else deadline
    else:
        since = begun.step_started_at
        left = rollout.steps[step].pause_seconds - (now - since).total_seconds()
        while left <= 0:
            step, since = step + 1, now
            if step == len(rollout.steps):
                return _promoted(target, begun)
            left = float(rollout.steps[step].pause_seconds)
    return Rollout(
        Traffic(stable, target, rollout.steps[step].weight),
        target,
        status=begun.model_copy(update={"step": step, "step_started_at": since}),
        recheck_seconds=max(1.0, left),
    )


def _promoted(target: Bundle, begun: RolloutStatus) -> Rollout:
    """Let the stable replicas swap: from here on the target is the stable revision, whatever it takes."""
    return Rollout(Traffic(target), target, status=begun.model_copy(update={"step": None, "step_started_at": None}))


def roll_out(model: VoiceModel, chain: Chain, observed: Observed, now: datetime) -> Rollout:
    """Decide which bundles answer now."""
    target = _target(model, chain)
    if target is None:
        return Rollout()
    pinned, rollout = model.spec.revision is not None, model.spec.serving.rollout
    before, stable = model.status.serving.rollout, _stable(model)
    begun = before if before and before.revision == target.revision else None
    begun = begun or RolloutStatus(revision=target.revision, started_at=now)
    if (
        rollout.strategy is Strategy.CANARY
        and not pinned
        and stable is not None
        and stable.revision != target.revision
        and not model.spec.serving.suspend
    ):
        return _canary(model, stable, target, begun, observed, now)
    if _everywhere(model, observed.service, target.revision) or model.spec.serving.suspend:
        return Rollout(Traffic(target), target, pinned)
    left = rollout.progress_deadline_seconds - (now - begun.started_at).total_seconds()
    return Rollout(
        Traffic(target),
        target,
        pinned,
        status=begun.model_copy(update={"step": None, "step_started_at": None}),
        overdue=left <= 0,
        recheck_seconds=left if left > 0 else None,
    )
