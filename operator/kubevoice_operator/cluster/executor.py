"""Carries out a plan: creates, applies and deletes the objects of one VoiceModel or VoicePool."""

import logging
from http import HTTPStatus
from typing import Any

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.applier import apply_exposure, apply_object, catch_refusal
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.keys import Key, OwnerKey
from kubevoice_operator.cluster.model_state import ModelState
from kubevoice_operator.cluster.requests import ApiException
from kubevoice_operator.cluster.service_snapshot import is_deleted
from kubevoice_operator.observed_state import ObservedState
from kubevoice_operator.planner import Plan
from kubevoice_operator.service_plan import ServicePlan

__all__ = ["PlanExecutor"]

logger = logging.getLogger(__name__)

NO_KUBERAY = (
    "the cluster has no RayService resource (ray.io/v1); install KubeRay, and the operator will serve the voice"
)


class PlanExecutor:
    """Carries out plans. What it writes goes into the cache at once.

    Parameters
    ----------
    api
        The API server.
    cache
        The objects that the watches have shown.
    """

    def __init__(self, api: KubernetesApi, cache: ResourceCache) -> None:
        self._api, self._cache = api, cache

    async def execute(self, key: Key, desired: Plan, observed: ObservedState, state: ModelState) -> bool:
        """Carry out the plan for one VoiceModel.

        Parameters
        ----------
        key
            Its namespace and name.
        desired
            The plan.
        observed
            The observed state that the plan was made from.
        state
            Refusals and errors of the API server are written into it.

        Returns
        -------
        bool
            Whether the status must be built again, because Jobs were created or an error came or went.

        Raises
        ------
        ApiException
            For an error that is not a refusal of an object.
        aiohttp.ClientError, OSError, TimeoutError
            If the API server does not answer.
        """
        before = _errors(state)
        for name in desired.delete_jobs:
            await self._api.delete_job(Key(key.namespace, name))
        state.job_refusal = await catch_refusal(self._create_jobs(key, desired))
        await self.change_service(key, key.name, desired, observed, state)
        return bool(desired.jobs) or before != _errors(state)

    async def change_service(
        self, key: OwnerKey, name: str, desired: ServicePlan, observed: ObservedState, state: ModelState
    ) -> bool:
        """Change the RayService and the way to it.

        Parameters
        ----------
        key
            The VoiceModel or VoicePool.
        name
            Name of its RayService and exposure objects.
        desired
            The plan.
        observed
            The observed state that the plan was made from.
        state
            Refusals and errors of the API server are written into it.

        Returns
        -------
        bool
            Whether an error came or went.

        Raises
        ------
        ApiException
            For an error that is not a refusal of an object.
        aiohttp.ClientError, OSError, TimeoutError
            If the API server does not answer.
        """
        before = _errors(state)
        # Before the pods, so that the NetworkPolicy is there when they start.
        place = Key(key.namespace, name)
        state.exposure_errors = await apply_exposure(self._api, self._cache, place, desired, observed)
        state.serving_refusal = await catch_refusal(self._change_serving(key, place, desired, observed, state))
        return before != _errors(state)

    async def _create_jobs(self, key: Key, desired: Plan) -> None:
        for job in desired.jobs:
            if (created := await self._api.create_job(job)) is not None:
                logger.info("created Job %s", job["metadata"]["name"], extra={"voicemodel": key})
                self._cache.put(created)

    async def _change_serving(
        self, key: OwnerKey, place: Key, desired: ServicePlan, observed: ObservedState, state: ModelState
    ) -> None:
        children = self._cache.children(key)
        if desired.service is not None and not is_deleted(children, place.name):
            await self._apply_service(desired.service, state, ours=place.name in children.services)
        if desired.remove_service:
            await self._api.delete("RayService", place)
        if desired.delete_cluster is not None:
            logger.info("deleting RayCluster %s, which is obsolete and has no pod", desired.delete_cluster)
            await self._api.delete_cluster(Key(key.namespace, desired.delete_cluster))
        service = observed.service
        if desired.bounds is not None and service is not None and service.cluster is not None:
            cluster = Key(key.namespace, service.cluster)
            if (patched := await self._api.set_worker_bounds(cluster, desired.bounds)) is not None:
                self._cache.put(patched)

    async def _apply_service(self, service: dict[str, Any], state: ModelState, *, ours: bool) -> None:
        try:
            await apply_object(self._api, self._cache, service, ours=ours)
            state.serving_missing = None
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            state.serving_missing = NO_KUBERAY


def _errors(state: ModelState) -> tuple[Any, ...]:
    return state.job_refusal, state.serving_refusal, state.serving_missing, state.exposure_errors
