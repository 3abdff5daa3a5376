"""The plan: which objects to create, apply and delete, and the status to write. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.exposure_plan import plan_exposure
from kubevoice_operator.garbage_collection import plan_pruning
from kubevoice_operator.jobs import job_actions
from kubevoice_operator.observed_state import ObservedState
from kubevoice_operator.pipeline import Pipeline, resolve_pipeline
from kubevoice_operator.pool_membership import choose_service
from kubevoice_operator.render.names import Images
from kubevoice_operator.render.rayservice import render_rayservice
from kubevoice_operator.revisions import update_history
from kubevoice_operator.rollout import RolloutDecision, decide_rollout
from kubevoice_operator.service_plan import ServicePlan, plan_bounds, plan_service
from kubevoice_operator.status_builder import build_status

__all__ = ["Plan", "plan"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(ServicePlan):
    """What to change on the cluster or the machine, and the status to write.

    Attributes
    ----------
    jobs
        Jobs to create.
    delete_jobs
        Names of Jobs to delete.
    status
        The status to write.
    pipeline
        How far the stages are.
    recheck_seconds
        When the plan can change without any event; None if it cannot.
    """

    jobs: tuple[Object, ...]
    delete_jobs: tuple[str, ...]
    status: VoiceModelStatus
    pipeline: Pipeline
    recheck_seconds: float | None


def _render_service(model: VoiceModel, rollout: RolloutDecision, images: Images) -> Object | None:
    """Render the RayService; None if it should not exist."""
    serving = model.spec.serving
    if rollout.traffic is None or serving.suspend or serving.pool_ref is not None:
        return None
    return render_rayservice(model, rollout.traffic, images)


def _should_remove_service(model: VoiceModel, rollout: RolloutDecision) -> bool:
    """Return whether to delete the RayService: it is suspended, or a pool serves the voice in its place."""
    in_pool = model.spec.serving.pool_ref is not None and rollout.target is not None and rollout.status is None
    return model.spec.serving.suspend or in_pool


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
    own = observed.service
    observed = replace(observed, service=choose_service(model, observed))
    rollout = decide_rollout(model, pipeline, observed, now)
    actions = job_actions(model, pipeline, observed, now, images)
    pruning = plan_pruning(model, pipeline, observed, update_history(model, pipeline, rollout, now), images, now)
    exposure = plan_exposure(model, observed.exposure)
    rechecks = [s for s in (actions.recheck_seconds, rollout.recheck_seconds, pruning.recheck_seconds) if s]
    return Plan(
        jobs=actions.create + pruning.create,
        delete_jobs=actions.delete + pruning.delete,
        service=plan_service(_render_service(model, rollout, images), own),
        remove_service=own is not None and _should_remove_service(model, rollout),
        delete_cluster=own.obsolete_cluster if own else None,
        bounds=plan_bounds(model, own),
        expose=exposure.apply,
        unexpose=exposure.remove,
        status=build_status(model, pipeline, observed, rollout, exposure, pruning.revisions, now),
        pipeline=pipeline,
        recheck_seconds=min(rechecks, default=None),
    )
