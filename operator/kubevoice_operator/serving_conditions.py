"""The conditions of a VoiceModel that are about its replicas. Pure."""

from kubevoice.resources.conditions import Reason, State
from kubevoice.resources.status import ServingStatus
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.condition_value import ConditionValue
from kubevoice_operator.observed_state import ObservedState
from kubevoice_operator.rollout import RolloutDecision

__all__ = ["build_available_condition", "build_rollout_condition", "build_unavailable_condition"]


def build_available_condition(model: VoiceModel, serving: ServingStatus, observed: ObservedState) -> ConditionValue:
    """Compute Available: whether any replica answers, of whatever revision.

    Parameters
    ----------
    model
        The VoiceModel.
    serving
        The serving part of the status that is about to be written.
    observed
        What was observed.

    Returns
    -------
    ConditionValue
        The value of Available.
    """
    if model.spec.serving.suspend:
        return ConditionValue(State.FALSE, Reason.SUSPENDED, "stopped by spec.serving.suspend")
    if serving.replicas.ready:
        ready = serving.replicas.ready
        return ConditionValue(
            State.TRUE, Reason.SERVING, f"{ready} replicas answer" if ready > 1 else "1 replica answers"
        )
    if serving.revision is not None:
        return ConditionValue(State.TRUE, Reason.SERVING, "no replica runs; the next request starts one")
    if serving.target_revision is None:
        return ConditionValue(State.FALSE, Reason.WAITING, "no revision has been released")
    return build_unavailable_condition(observed)


def build_unavailable_condition(observed: ObservedState) -> ConditionValue:  # noqa: PLR0911  # one cause each
    """Compute why replicas that should answer do not.

    Parameters
    ----------
    observed
        What was observed of a VoiceModel or a VoicePool.

    Returns
    -------
    ConditionValue
        False with the first cause that is known.
    """
    service = observed.service
    if observed.pool is not None and observed.pool.problem:
        return ConditionValue(State.FALSE, Reason.POOL_NOT_READY, observed.pool.problem)
    if observed.serving_missing:
        return ConditionValue(State.FALSE, Reason.KUBERAY_NOT_INSTALLED, observed.serving_missing)
    if observed.serving_deletion:
        return ConditionValue(State.FALSE, Reason.DELETION_BLOCKED, observed.serving_deletion)
    if service is not None and service.pod_issue:
        return ConditionValue(State.FALSE, service.pod_issue.reason, service.pod_issue.description)
    if service is not None and service.error:
        return ConditionValue(State.FALSE, Reason.SERVING_FAILED, service.error)
    if errors := [replica.error for replica in (service.replicas if service else ()) if replica.error]:
        return ConditionValue(State.FALSE, Reason.SERVING_FAILED, f"no replica can load the voice: {errors[0]}")
    if observed.serving_refusal:
        return ConditionValue(State.FALSE, Reason.REFUSED_BY_API, observed.serving_refusal)
    if service is not None and service.start_error:
        message = f"no replica answers; the last one could not start: {service.start_error}"
        return ConditionValue(State.FALSE, Reason.SERVING_FAILED, message)
    return ConditionValue(State.FALSE, Reason.ROLLING_OUT, "no replica answers yet")


def _format_replicas(serving: ServingStatus) -> str:
    return f"{serving.replicas.ready} of {serving.replicas.desired} replicas serve the target revision"


def build_rollout_condition(
    model: VoiceModel, serving: ServingStatus, observed: ObservedState, rollout: RolloutDecision
) -> ConditionValue:
    """Compute whether every replica serves the target revision, given that some replica answers.

    Parameters
    ----------
    model
        The VoiceModel.
    serving
        The serving part of the status that is about to be written.
    observed
        What was observed.
    rollout
        The decision about which revision answers.

    Returns
    -------
    ConditionValue
        What Ready is once the stages have succeeded.
    """
    service = observed.service
    if serving.revision == serving.target_revision and rollout.status is None:
        if observed.serving_refusal:
            # The revision is the same: the image, resources or options that run differ from the spec.
            return ConditionValue(
                State.FALSE, Reason.REFUSED_BY_API, f"replicas run as before; {observed.serving_refusal}"
            )
        if service is not None and service.start_error and serving.replicas.ready < serving.replicas.desired:
            message = f"{_format_replicas(serving)}; another could not start: {service.start_error}"
            return ConditionValue(State.FALSE, Reason.SERVING_FAILED, message)
        if rollout.pinned:
            return ConditionValue(
                State.TRUE, Reason.PINNED, "every replica serves the revision that spec.revision names"
            )
        complete = serving.replicas.ready >= serving.replicas.desired
        message = "every replica serves the target revision"
        return ConditionValue(
            State.TRUE, Reason.SERVING, message if complete else f"{_format_replicas(serving)}; the others are starting"
        )
    if rollout.traffic and rollout.traffic.canary:
        return ConditionValue(
            State.FALSE, Reason.CANARY_RUNNING, f"a canary gets {rollout.traffic.weight} % of the requests"
        )
    reason, message = Reason.ROLLING_OUT, "replicas do not yet serve the target revision"
    if service is not None and not service.settled and serving.revision == serving.target_revision:
        message = "the Ray cluster that takes over is not ready yet"
    if rollout.overdue:
        limit = model.spec.serving.rollout.progress_deadline_seconds
        reason, message = Reason.PROGRESS_DEADLINE_EXCEEDED, f"{message} after {limit} s"
    if obstacles := _rollout_obstacles(observed):
        cause, explanation = obstacles[0]
        reason, message = reason if rollout.overdue else cause, f"{message}; {explanation}"
    return ConditionValue(State.FALSE, reason, message)


def _rollout_obstacles(observed: ObservedState) -> list[tuple[Reason, str]]:
    """List what keeps a revision from being served, the most specific first."""
    service = observed.service
    obstacles: list[tuple[Reason, str]] = []
    if observed.pool is not None and observed.pool.problem:
        obstacles.append((Reason.POOL_NOT_READY, observed.pool.problem))
    if service is not None and service.pod_issue is not None:
        obstacles.append((service.pod_issue.reason, service.pod_issue.message))
    obstacles += [(Reason.SERVING_FAILED, r.error) for r in (service.replicas if service else ()) if r.error]
    if observed.serving_refusal:
        obstacles.append((Reason.REFUSED_BY_API, observed.serving_refusal))
    return obstacles
