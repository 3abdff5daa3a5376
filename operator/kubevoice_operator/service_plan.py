"""What to change of a RayService and of the way to it, for a VoiceModel or a VoicePool. Pure."""

from dataclasses import dataclass
from typing import Any

from kubevoice_operator.observed_state import ObservedService
from kubevoice_operator.render.names import Owner, content_hash
from kubevoice_operator.render.rayservice import worker_bounds

__all__ = ["ServicePlan", "plan_bounds", "plan_service"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """What to change of the RayService and of exposure.

    Attributes
    ----------
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
    """

    service: Object | None
    remove_service: bool
    delete_cluster: str | None
    bounds: tuple[int, int] | None
    expose: tuple[Object, ...]
    unexpose: tuple[str, ...]


def plan_service(desired: Object | None, service: ObservedService | None) -> Object | None:
    """Return the RayService to apply.

    Parameters
    ----------
    desired
        The RayService as it is rendered now; None if none should exist.
    service
        The one that exists, if any.

    Returns
    -------
    dict or None
        None if what was applied last is the same, or none should exist.
    """
    if desired is None or (service is not None and service.applied == content_hash(desired)):
        return None
    return desired


def plan_bounds(owner: Owner, service: ObservedService | None) -> tuple[int, int] | None:
    """Return bounds for the running RayCluster if they changed: KubeRay does not pass them on (kuberay#2331).

    Ray's autoscaler stops workers above the maximum at once, with the requests they serve. So the maximum stays at the
    number of workers until Serve has drained the surplus replicas and their workers are gone.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.
    service
        Its RayService, if there is one.

    Returns
    -------
    tuple of int, or None
        Minimum and maximum; None if they are right.
    """
    if service is None or (current := service.bounds) is None:
        return None
    least, most = worker_bounds(owner)
    desired = least, max(most, min(current[1], service.workers))
    return desired if current != desired else None
