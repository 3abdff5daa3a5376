"""Observes the RayService of a VoiceModel or a VoicePool: its objects, and what its replicas report."""

import time
from dataclasses import replace
from datetime import datetime

from kubevoice.resources.data_plane import RevisionsResponse

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.creation_issues import CHECK_SECONDS, fetch_creation_issues, lacks_pods
from kubevoice_operator.cluster.data_plane import DataPlaneClient, service_url
from kubevoice_operator.cluster.keys import Key, OwnerKey
from kubevoice_operator.cluster.model_state import ModelState
from kubevoice_operator.cluster.service_snapshot import find_heads, is_deleted, observe_service
from kubevoice_operator.observed_state import ObservedService

__all__ = ["MISSING_SECONDS", "ROLLOUT_SECONDS", "STEADY_SECONDS", "ServiceObserver"]

ROLLOUT_SECONDS, STEADY_SECONDS = 2.0, 60.0
"""How often replicas are asked what they serve: during a rollout, and otherwise."""
MISSING_SECONDS = 15.0
"""How often what the API server refused is tried again."""
SILENCE_SECONDS = 20.0
"""How long the replicas' last report is used while they do not answer: one slow answer is not an outage."""
START_ERROR_SECONDS = 180.0
"""How long is remembered why a replica could not start. Ray Serve tells it only until the next attempt, which waits up
to a minute and a half for storage."""


class ServiceObserver:
    """Observes RayServices.

    Parameters
    ----------
    api
        The API server.
    data
        Asks the replicas.
    cache
        The objects that the watches have shown.
    """

    def __init__(self, api: KubernetesApi, data: DataPlaneClient, cache: ResourceCache) -> None:
        self._api, self._data, self._cache = api, data, cache

    async def fetch(self, key: OwnerKey, name: str, state: ModelState, now: datetime) -> None:
        """Ask the API server why pods are missing, and the replicas what they serve.

        Parameters
        ----------
        key
            The VoiceModel or VoicePool.
        name
            Name of its RayService.
        state
            The answers are written into it.
        now
            The time.

        Raises
        ------
        ApiException, aiohttp.ClientError, OSError, TimeoutError
            If the API server does not answer. Replicas that do not answer are no error.
        """
        children = self._cache.children(key)
        await fetch_creation_issues(self._api, name, children, state, now)
        if name not in children.services:
            return
        heads = find_heads(children, name)
        report = await self._data.fetch_revisions(Key(key.namespace, name))
        state.asked_at = time.monotonic()
        if report is not None:
            state.last_report, state.last_report_at, state.last_report_heads = report, state.asked_at, heads

    def observe(self, key: OwnerKey, name: str, state: ModelState, now: datetime) -> ObservedService | None:
        """Return the RayService as it was seen last.

        Parameters
        ----------
        key
            The VoiceModel or VoicePool.
        name
            Name of its RayService.
        state
            What `fetch` wrote. Why a replica could not start is remembered in it.
        now
            The time.

        Returns
        -------
        ObservedService or None
            None if there is no RayService, or it is being deleted.
        """
        service = observe_service(
            self._cache.children(key),
            name,
            service_url(Key(key.namespace, name)),
            self._recent_report(key, name, state),
            now,
            self._cache.pod_failures.recent(key),
            state.creation_issues,
        )
        if service is None:
            return None
        if service.start_error is not None:
            state.start_error, state.start_error_at = service.start_error, time.monotonic()
        elif time.monotonic() - state.start_error_at < START_ERROR_SECONDS:
            return replace(service, start_error=state.start_error)
        return service

    def _recent_report(self, key: OwnerKey, name: str, state: ModelState) -> RevisionsResponse | None:
        """Return the last report; for SILENCE_SECONDS it stands in for one that is missing.

        Not after the head, and with it the ingress, was lost: then no caller is answered.
        """
        recent = time.monotonic() - state.last_report_at < SILENCE_SECONDS
        heads = find_heads(self._cache.children(key), name)
        return state.last_report if recent and state.last_report_heads == heads else None

    def requeue_after(self, key: OwnerKey, name: str, state: ModelState, *, settled: bool) -> float | None:
        """Return when the RayService must be observed again although nothing happens.

        Parameters
        ----------
        key
            The VoiceModel or VoicePool.
        name
            Name of its RayService.
        state
            What `fetch` wrote.
        settled
            Whether every replica serves what it should.

        Returns
        -------
        float or None
            Seconds; None if only an event makes it necessary.
        """
        children = self._cache.children(key)
        times = []
        if name in children.services and not is_deleted(children, name):
            silent = time.monotonic() - state.last_report_at > ROLLOUT_SECONDS
            times.append(STEADY_SECONDS if settled and not silent else ROLLOUT_SECONDS)
        if lacks_pods(name, children) or is_deleted(children, name):
            times.append(CHECK_SECONDS)
        return min(times, default=None)
