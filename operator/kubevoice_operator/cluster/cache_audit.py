"""Compares the cache with lists of the API server: whether it is complete at first, and what watches missed later."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus

import aiohttp
from kubevoice.resources.voicemodel import KIND
from kubevoice.resources.voicepool import POOL_KIND

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.keys import OwnerKey
from kubevoice_operator.cluster.requests import ApiException, Identities
from kubevoice_operator.cluster.watches import RESOURCES

__all__ = ["CacheAudit"]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
KINDS = {
    "voicemodels": KIND,
    "voicepools": POOL_KIND,
    "jobs": "Job",
    "pods": "Pod",
    "rayservices": "RayService",
    "rayclusters": "RayCluster",
    "ingresses": "Ingress",
    "networkpolicies": "NetworkPolicy",
    "httproutes": "HTTPRoute",
}


class CacheAudit:
    """Audits one cache.

    A watch that was cut for long can miss a deletion. A resource that KubeRay or the Gateway API brings when it is
    installed later has no watch yet.

    Parameters
    ----------
    api
        The API server.
    cache
        The cache that the watches fill.
    enqueue
        Called with each VoiceModel or VoicePool for which a missed deletion was found.
    namespaces
        The namespaces that are watched; empty for the whole cluster.

    Attributes
    ----------
    watch_problem
        What the watches miss; None if nothing. Set by `compare`, and never cleared, because only a new process starts
        the watches again.
    """

    def __init__(
        self, api: KubernetesApi, cache: ResourceCache, enqueue: Callable[[OwnerKey], None], namespaces: Sequence[str]
    ) -> None:
        self._api, self._cache, self._enqueue, self._namespaces = api, cache, enqueue, namespaces
        self._missing: set[tuple[str, str, str]] = set()
        """Resources that the API server does not have. Added by every list that answers 404, removed by
        `find_new_resources`."""
        self._missed_updates: dict[tuple[str, str | None], dict[str, int]] = {}
        """Versions that the last comparison listed and no watch had shown, by resource and namespace. Replaced by every
        comparison."""
        self.watch_problem: str | None = None

    def _scopes(self) -> Iterator[tuple[tuple[str, str, str], str, str | None]]:
        """Iterate over what is listed: a resource, its label selector and a namespace, None for the whole cluster."""
        for resource, labels in RESOURCES.items():
            for namespace in self._namespaces or (None,):
                yield resource, labels, namespace

    async def wait_until_complete(self) -> None:
        """Wait until the cache has every object that the API server lists."""
        for resource, labels, namespace in self._scopes():
            while not await self._is_cached(resource, labels, namespace):  # noqa: ASYNC110  # the event is on the server
                await asyncio.sleep(POLL_SECONDS)

    async def _is_cached(self, resource: tuple[str, str, str], labels: str, namespace: str | None) -> bool:
        try:
            listed = await self._api.list_identities(resource, namespace, labels)
        except ApiException as error:
            return self._note_missing(resource, error)
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False
        return not self._cache.missed_updates(KINDS[resource[2]], listed.versions)

    async def compare(self) -> None:
        """Compare the cache with lists once: remove what is gone, and set `watch_problem` if a watch shows nothing.

        Raises
        ------
        aiohttp.ClientError, OSError, TimeoutError
            If the API server does not answer.
        """
        for resource, labels, namespace in self._scopes():
            try:
                listed = await self._api.list_identities(resource, namespace, labels)
            except ApiException as error:
                self._note_missing(resource, error)
            else:
                self._compare_list(resource[2], namespace, listed)

    def _note_missing(self, resource: tuple[str, str, str], error: ApiException) -> bool:
        """Return whether a list failed because KubeRay or the Gateway API is not installed, and remember it."""
        missing = bool(error.status == HTTPStatus.NOT_FOUND)
        if missing:
            self._missing.add(resource)
        return missing

    async def find_new_resources(self) -> bool:
        """Look for resources that were missing.

        Returns
        -------
        bool
            True if one can be watched now; no later call reports it again.

        Raises
        ------
        ApiException, aiohttp.ClientError, OSError, TimeoutError
            If the API server does not answer.
        """
        new = {resource for resource in tuple(self._missing) if await self._api.is_discoverable(resource)}
        self._missing -= new
        return bool(new)

    def _compare_list(self, plural: str, namespace: str | None, listed: Identities) -> None:
        kind, scope = KINDS[plural], (plural, namespace)
        for body in self._cache.missed_deletions(kind, listed.versions, listed.version):
            if namespace in (None, body["metadata"]["namespace"]):
                key = self._cache.remove(body)
                if key is not None:
                    self._enqueue(key)
        # A working watch has shown by now what the previous comparison listed.
        if self._cache.missed_updates(kind, self._missed_updates.get(scope, {})).keys() & listed.versions.keys():
            self.watch_problem = f"the watch of {plural} shows no events"
            logger.error("%s", self.watch_problem)
        self._missed_updates[scope] = self._cache.missed_updates(kind, listed.versions)
