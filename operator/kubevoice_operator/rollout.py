"""Which revision serves: the target, and how a canary takes over or is rolled back. Pure.

The status stores only when a rollout began and which step it is in. Everything else is computed from the spec, the
revisions and the replicas' reports, so a restarted operator continues where the last one stopped.
"""

from dataclasses import dataclass
from datetime import datetime

from kubevoice.resources.conditions import Reason
from kubevoice.resources.data_plane import Track
from kubevoice.resources.serving import Strategy
from kubevoice.resources.stages import GateResult
from kubevoice.resources.status import Revision, RevisionState, RolloutStatus
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.observed_state import ObservedService, ObservedState
from kubevoice_operator.pipeline import Pipeline, voice_storage
from kubevoice_operator.render.rayservice import BundleRef, TrafficSplit

__all__ = ["RolloutDecision", "bundle_uri", "count_min_replicas", "decide_rollout"]

MIN_REQUESTS = 20
"""Requests that a canary must have had before its error rate and latency count."""


@dataclass(frozen=True, slots=True)
class RolloutDecision:
    """Which bundles should serve now, and the state of the rollout."""

    traffic: TrafficSplit | None = None
    target: BundleRef | None = None
    pinned: bool = False
    status: RolloutStatus | None = None
    """What to write to status.serving.rollout; None when no rollout is in progress."""
    overdue: bool = False
    """Whether the rollout exceeds progressDeadlineSeconds."""
    rejected: str | None = None
    """Why the canary is rolled back; None if it is not."""
    recheck_seconds: float | None = None
    """Seconds after which the decision can change without an event; None if it cannot."""


def bundle_uri(model: VoiceModel, revision: str) -> str:
    """Return the URI at which release publishes a revision.

    Parameters
    ----------
    model
        The VoiceModel.
    revision
        Digest of the bundle.

    Returns
    -------
    str
        file:// or s3://.
    """
    return f"{voice_storage(model).artifacts_uri}/bundles/{revision.removeprefix('sha256:')}"


def _stable_bundle(model: VoiceModel) -> BundleRef | None:
    """Return the bundle whose revision the history marks as serving; None if there is none."""
    for revision in model.status.revisions:
        if revision.state is RevisionState.SERVING:
            return BundleRef(revision.digest, revision.uri)
    return None


def _was_rolled_back(revisions: tuple[Revision, ...], digest: str) -> bool:
    return any(r.digest == digest and r.reason.startswith(Reason.CANARY_BACKED_OUT) for r in revisions)


def _choose_target(model: VoiceModel, pipeline: Pipeline) -> BundleRef | None:
    """Choose the pinned revision, else the released one if it may serve, else the stable one."""
    if (pinned := model.spec.revision) is not None:
        return BundleRef(pinned, bundle_uri(model, pinned))
    released = pipeline.released
    if (
        released is not None
        and released.verdict is not GateResult.FAILED
        and not _was_rolled_back(model.status.revisions, released.revision)
    ):
        return BundleRef(released.revision, released.uri)
    return _stable_bundle(model)


def count_min_replicas(model: VoiceModel, service: ObservedService | None) -> int:
    """Return how many replicas of a voice always run.

    Parameters
    ----------
    model
        The VoiceModel.
    service
        The RayService that serves it.

    Returns
    -------
    int
        Of its pool, or of its own spec.
    """
    pooled = service.min_replicas if service else None
    return model.spec.serving.min_replicas if pooled is None else pooled


def _all_replicas_serve(model: VoiceModel, service: ObservedService | None, revision: str) -> bool:
    """Return whether every replica of the settled cluster reports `revision`."""
    if service is None or not service.settled:
        return False
    replicas = service.replicas
    scaled_to_zero = service.answers and count_min_replicas(model, service) == 0
    return (bool(replicas) or scaled_to_zero) and all(r.voices.get(model.metadata.name) == revision for r in replicas)


def _rollback_reason(model: VoiceModel, service: ObservedService) -> str | None:
    """Return why the canary must be rolled back: errors of its replicas, error rate or latency. None if it need not."""
    if service.canary_error:
        return f"it cannot be served: {service.canary_error}"
    for replica in service.replicas:
        if replica.track is Track.CANARY and replica.error:
            return f"it cannot be loaded: {replica.error}"
    rollout, traffic = model.spec.serving.rollout, service.traffic.get(Track.CANARY)
    if traffic is None or traffic.requests < MIN_REQUESTS:
        return None
    error_rate = traffic.errors / traffic.requests
    if rollout.max_error_rate is not None and error_rate > rollout.max_error_rate:
        return (
            f"{traffic.errors} of its {traffic.requests} requests failed; "
            f"spec.serving.rollout.maxErrorRate allows {rollout.max_error_rate:g}"
        )
    limit = rollout.max_latency_seconds
    if limit is not None and traffic.p95_seconds is not None and traffic.p95_seconds > limit:
        return (
            f"the 95th percentile of its latency is {traffic.p95_seconds:.2f} s; "
            f"spec.serving.rollout.maxLatencySeconds allows {limit:g}"
        )
    return None


def _advance_canary(
    model: VoiceModel,
    stable: BundleRef,
    target: BundleRef,
    begun: RolloutStatus,
    observed: ObservedState,
    now: datetime,
) -> RolloutDecision:
    """Decide whether a canary stays in its step, moves to the next, is promoted, or is rolled back."""
    rollout, service = model.spec.serving.rollout, observed.service

    def roll_back(reason: str) -> RolloutDecision:
        return RolloutDecision(TrafficSplit(stable), stable, rejected=reason)

    if service is not None and (reason := _rollback_reason(model, service)) is not None:
        return roll_back(reason)
    answering = service is not None and any(
        r.track is Track.CANARY and r.voices.get(model.metadata.name) == target.revision for r in service.replicas
    )
    step = begun.step or 0
    if begun.step_started_at is None:
        deadline = rollout.progress_deadline_seconds - (now - begun.started_at).total_seconds()
        if not answering and deadline <= 0:
            return roll_back(f"it did not answer within {rollout.progress_deadline_seconds} s")
        since = now if answering else None
        seconds_left = float(rollout.steps[step].pause_seconds) if answering else deadline
    else:
        since = begun.step_started_at
        seconds_left = rollout.steps[step].pause_seconds - (now - since).total_seconds()
        while seconds_left <= 0:
            step, since = step + 1, now
            if step == len(rollout.steps):
                return _promote(target, begun)
            seconds_left = float(rollout.steps[step].pause_seconds)
    return RolloutDecision(
        TrafficSplit(stable, target, rollout.steps[step].weight),
        target,
        status=begun.model_copy(update={"step": step, "step_started_at": since}),
        recheck_seconds=max(1.0, seconds_left),
    )


def _promote(target: BundleRef, begun: RolloutStatus) -> RolloutDecision:
    """Make the canary's revision the stable one: the stable replicas swap to it in place."""
    return RolloutDecision(
        TrafficSplit(target), target, status=begun.model_copy(update={"step": None, "step_started_at": None})
    )


def decide_rollout(model: VoiceModel, pipeline: Pipeline, observed: ObservedState, now: datetime) -> RolloutDecision:
    """Decide which bundles serve now.

    Parameters
    ----------
    model
        The VoiceModel with its status as it was written last.
    pipeline
        Its stages; a released revision becomes the target if it may serve.
    observed
        What the replicas report.
    now
        The time of this reconciliation, for steps and deadlines.

    Returns
    -------
    RolloutDecision
        Without traffic if nothing has been released.
    """
    target = _choose_target(model, pipeline)
    if target is None:
        return RolloutDecision()
    pinned, rollout = model.spec.revision is not None, model.spec.serving.rollout
    before, stable = model.status.serving.rollout, _stable_bundle(model)
    begun = before if before and before.revision == target.revision else None
    begun = begun or RolloutStatus(revision=target.revision, started_at=now)
    if (
        rollout.strategy is Strategy.CANARY
        and not pinned
        and stable is not None
        and stable.revision != target.revision
        and not model.spec.serving.suspend
    ):
        return _advance_canary(model, stable, target, begun, observed, now)
    if _all_replicas_serve(model, observed.service, target.revision) or model.spec.serving.suspend:
        return RolloutDecision(TrafficSplit(target), target, pinned)
    seconds_left = rollout.progress_deadline_seconds - (now - begun.started_at).total_seconds()
    return RolloutDecision(
        TrafficSplit(target),
        target,
        pinned,
        status=begun.model_copy(update={"step": None, "step_started_at": None}),
        overdue=seconds_left <= 0,
        recheck_seconds=seconds_left if seconds_left > 0 else None,
    )
