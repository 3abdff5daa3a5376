"""Deciding: from a VoiceModel and what is there to the objects that should be there and the status to show.

Pure: the same input gives the same plan, whoever applies it, however often.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.chain import Chain, walk
from kubevoice_operator.collection import collect
from kubevoice_operator.jobs import job_actions
from kubevoice_operator.observe import Observed
from kubevoice_operator.render.exposure import render_exposure
from kubevoice_operator.render.names import Images, content_hash
from kubevoice_operator.render.rayservice import render_rayservice, worker_bounds
from kubevoice_operator.revisions import marked
from kubevoice_operator.rollout import Rollout, roll_out
from kubevoice_operator.status import describe

__all__ = ["Plan", "plan"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, and the status to show.

    `jobs` are created and `delete_jobs` deleted; `service` is applied, if it must change, or removed; `bounds` are
    given to the running RayCluster. `expose` is applied, and what is there of the kinds in `unexpose` is deleted.
    `recheck_seconds` is when time alone will change the plan.
    """

    jobs: tuple[Object, ...]
    delete_jobs: tuple[str, ...]
    service: Object | None
    remove_service: bool
    bounds: tuple[int, int] | None
    expose: tuple[Object, ...]
    unexpose: tuple[str, ...]
    status: VoiceModelStatus
    chain: Chain
    recheck_seconds: float | None


def _service(model: VoiceModel, rollout: Rollout, observed: Observed, images: Images) -> Object | None:
    """Render the RayService if it is not there as it should be."""
    if rollout.traffic is None or model.spec.serving.suspend:
        return None
    wanted = render_rayservice(model, rollout.traffic, images)
    if observed.service is not None and observed.service.applied == content_hash(wanted):
        return None
    return wanted


def _bounds(model: VoiceModel, observed: Observed) -> tuple[int, int] | None:
    """Return bounds for the running RayCluster if they changed: KubeRay does not hand them on (kuberay#2331).

    Of workers above the most, Ray's autoscaler stops some at once and with all that they speak. So it stays above them
    until they have gone: Serve stops what is too much gently, and then they are idle.
    """
    if observed.service is None or (there := observed.service.bounds) is None:
        return None
    least, most = worker_bounds(model)
    wanted = least, max(most, min(there[1], observed.service.workers))
    return wanted if there != wanted else None


def _exposure(model: VoiceModel, observed: Observed) -> tuple[tuple[Object, ...], tuple[str, ...]]:
    """Render what is not there as it should be, and name the kinds of what should not be there."""
    if (exposure := observed.exposure) is None:
        return (), ()
    wanted = {item["kind"]: item for item in render_exposure(model)}
    changed = (item for kind, item in wanted.items() if exposure.applied.get(kind) != content_hash(item))
    return tuple(changed), tuple(kind for kind in exposure.applied if kind not in wanted)


def plan(model: VoiceModel, observed: Observed, now: datetime, images: Images) -> Plan:
    """Decide what to do next about `model`."""
    chain = walk(model, observed)
    rollout = roll_out(model, chain, observed, now)
    actions = job_actions(model, chain, observed, now, images)
    collection = collect(model, chain, observed, marked(model, chain, rollout, now), images, now)
    expose, unexpose = _exposure(model, observed)
    rechecks = [s for s in (actions.recheck_seconds, rollout.recheck_seconds, collection.recheck_seconds) if s]
    return Plan(
        jobs=actions.create + collection.create,
        delete_jobs=actions.delete + collection.delete,
        service=_service(model, rollout, observed, images),
        remove_service=model.spec.serving.suspend and observed.service is not None,
        bounds=_bounds(model, observed),
        expose=expose,
        unexpose=unexpose,
        status=describe(model, chain, observed, rollout, collection.revisions, now),
        chain=chain,
        recheck_seconds=min(rechecks, default=None),
    )
