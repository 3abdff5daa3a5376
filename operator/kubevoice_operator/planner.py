"""The plan: which objects to create, apply and delete, and the status to write. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.exposure_plan import plan_exposure
from kubevoice_operator.garbage_collection import plan_pruning
from kubevoice_operator.jobs import job_actions
from kubevoice_operator.observed_state import ObservedState
from kubevoice_operator.pipeline import Pipeline, resolve_pipeline
from kubevoice_operator.render.names import Images, content_hash
from kubevoice_operator.render.rayservice import render_rayservice, worker_bounds
from kubevoice_operator.revisions import update_history
from kubevoice_operator.rollout import RolloutDecision, decide_rollout
from kubevoice_operator.status_builder import build_status

__all__ = ["Plan", "plan"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to change on the cluster or the machine, and the status to write.

    Attributes
    ----------
    jobs
        Jobs to create.
    delete_jobs
        Names of Jobs to delete.
    service
        The RayService to apply; None if it is as it should be.
    remove_service
        Whether to delete the RayService.
    delete_cluster
        Name of a RayCluster to delete, so that KubeRay prepares another one; None if there is none.
    bounds
        Minimum and maximum workers to set on the running RayCluster; None if they are right.
    expose
        Ingress, HTTPRoute and NetworkPolicy objects to apply.
    unexpose
        Kinds of those objects to delete.
    status
        The status to write.
    pipeline
        How far the stages are.
    recheck_seconds
        When the plan can change without any event; None if it cannot.
    """

    jobs: tuple[Object, ...]
    delete_jobs: tuple[str, ...]
    service: Object | None
    remove_service: bool
    delete_cluster: str | None
    bounds: tuple[int, int] | None
    expose: tuple[Object, ...]
    unexpose: tuple[str, ...]
    status: VoiceModelStatus
    pipeline: Pipeline
    recheck_seconds: float | None


def _plan_service(
    model: VoiceModel, rollout: RolloutDecision, observed: ObservedState, images: Images
) -> Object | None:
    """Render the RayService; None if what was applied last is the same, or it should not exist."""
    if rollout.traffic is None or model.spec.serving.suspend:
        return None
    desired = render_rayservice(model, rollout.traffic, images)
    if observed.service is not None and observed.service.applied == content_hash(desired):
        return None
    return desired


def _plan_bounds(model: VoiceModel, observed: ObservedState) -> tuple[int, int] | None:
    """Return bounds for the running RayCluster if they changed: KubeRay does not pass them on (kuberay#2331).

    Ray's autoscaler stops workers above the maximum at once, with the requests they serve. So the maximum stays at the
    number of workers until Serve has drained the surplus replicas and their workers are gone.
    """
    if observed.service is None or (current := observed.service.bounds) is None:
        return None
    least, most = worker_bounds(model)
    desired = least, max(most, min(current[1], observed.service.workers))
    return desired if current != desired else None


def plan(model: VoiceModel, observed: ObservedState, now: datetime, images: Images) -> Plan:
    """Decide what to do next about a VoiceModel.

    Parameters
    ----------
    model
        The VoiceModel with its status as it was written last.
    observed
        Its observed state.
    now
        The time of this reconciliation.
    images
        Images used where the spec names none.

    Returns
    -------
    Plan
        The same for the same arguments, on a cluster and on one machine.
    """
    pipeline = resolve_pipeline(model, observed)
    rollout = decide_rollout(model, pipeline, observed, now)
    actions = job_actions(model, pipeline, observed, now, images)
    pruning = plan_pruning(model, pipeline, observed, update_history(model, pipeline, rollout, now), images, now)
    exposure = plan_exposure(model, observed)
    rechecks = [s for s in (actions.recheck_seconds, rollout.recheck_seconds, pruning.recheck_seconds) if s]
    return Plan(
        jobs=actions.create + pruning.create,
        delete_jobs=actions.delete + pruning.delete,
        service=_plan_service(model, rollout, observed, images),
        remove_service=model.spec.serving.suspend and observed.service is not None,
        delete_cluster=observed.service.obsolete_cluster if observed.service else None,
        bounds=_plan_bounds(model, observed),
        expose=exposure.apply,
        unexpose=exposure.remove,
        status=build_status(model, pipeline, observed, rollout, exposure, pruning.revisions, now),
        pipeline=pipeline,
        recheck_seconds=min(rechecks, default=None),
    )
