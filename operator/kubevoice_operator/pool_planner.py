"""The plan of a VoicePool: which objects to create, apply and delete, and the status to write. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kubevoice.resources.data_plane import VoiceConfig
from kubevoice.resources.status import VoicePoolStatus
from kubevoice.resources.voicepool import VoicePool

from kubevoice_operator.exposure_plan import plan_exposure
from kubevoice_operator.observed_state import ObservedState
from kubevoice_operator.pool_status import build_pool_status
from kubevoice_operator.render.names import Images
from kubevoice_operator.render.rayservice import render_pool_rayservice
from kubevoice_operator.service_plan import ServicePlan, plan_bounds, plan_service

__all__ = ["PoolPlan", "plan_pool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan(ServicePlan):
    """What to change on the cluster, and the status to write."""

    status: VoicePoolStatus


def plan_pool(
    pool: VoicePool, voices: Sequence[VoiceConfig], observed: ObservedState, now: datetime, images: Images
) -> PoolPlan:
    """Decide what to do next about a VoicePool.

    Parameters
    ----------
    pool
        The VoicePool with its status as it was written last.
    voices
        The voices that it should serve, by name.
    observed
        Its RayService and exposure.
    now
        The time of this reconciliation.
    images
        Images used where the spec names none.

    Returns
    -------
    PoolPlan
        The same for the same arguments. Without voices there is no RayService.
    """
    service, exposure = observed.service, plan_exposure(pool, observed.exposure)
    wanted = bool(voices) and not pool.spec.serving.suspend
    desired = render_pool_rayservice(pool, voices, images) if wanted else None
    return PoolPlan(
        service=plan_service(desired, service),
        remove_service=service is not None and not wanted,
        delete_cluster=service.obsolete_cluster if service else None,
        bounds=plan_bounds(pool, service),
        expose=exposure.apply,
        unexpose=exposure.remove,
        status=build_pool_status(pool, voices, observed, exposure, now),
    )
