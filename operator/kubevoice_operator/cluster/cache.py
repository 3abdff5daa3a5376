"""The cache that the watches fill: VoiceModels, VoicePools and what belongs to each, as the API server sent them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubevoice.resources.voicemodel import KIND
from kubevoice.resources.voicepool import POOL_KIND

from kubevoice_operator.cluster.keys import Key, OwnerKey, PoolKey, key_of
from kubevoice_operator.cluster.pod_failures import PodFailures
from kubevoice_operator.render.names import CLEANUP_LABEL

__all__ = ["Children", "ResourceCache"]

Object = Mapping[str, Any]
OWNERS = (KIND, POOL_KIND)


@dataclass(slots=True)
class Children:
    """Objects that belong to one VoiceModel or VoicePool, by kind and name."""

    jobs: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    services: dict[str, Object] = field(default_factory=dict)
    clusters: dict[str, Object] = field(default_factory=dict)
    ingresses: dict[str, Object] = field(default_factory=dict)
    routes: dict[str, Object] = field(default_factory=dict)
    policies: dict[str, Object] = field(default_factory=dict)

    def by_kind(self, kind: str) -> dict[str, Object]:
        """Return the objects of a kind.

        Parameters
        ----------
        kind
            The kind, as in the objects' `kind`.

        Returns
        -------
        dict
            The objects by name.
        """
        return {
            "Job": self.jobs,
            "Pod": self.pods,
            "RayService": self.services,
            "RayCluster": self.clusters,
            "Ingress": self.ingresses,
            "HTTPRoute": self.routes,
            "NetworkPolicy": self.policies,
        }[kind]


def _version(body: Object) -> int:
    return int(body["metadata"].get("resourceVersion", 0))


class ResourceCache:
    """The newest version seen of every object.

    Watches and the answers to the operator's own writes fill it; both run in one event loop. An object leaves it when
    its deletion is seen, or by `missed_deletions` after a list.

    Attributes
    ----------
    pod_failures
        How pods of Ray ended. Recorded by `put` and `remove`.
    """

    def __init__(self) -> None:
        self.pod_failures = PodFailures()
        self._owners: dict[OwnerKey, Object] = {}
        """VoiceModels and VoicePools. Set by `put`, cleared by `remove`."""
        self._children: dict[OwnerKey, Children] = {}
        """What belongs to each; also of one that is gone, until its last object is."""

    def owner(self, key: OwnerKey) -> Object | None:
        """Return a VoiceModel or a VoicePool; None if there is none.

        Parameters
        ----------
        key
            Its namespace and name.

        Returns
        -------
        dict or None
            The object as the API server sent it.
        """
        return self._owners.get(key)

    def pools(self, key: OwnerKey | None) -> set[PoolKey]:
        """Return the pools that a VoiceModel names, or that serve it.

        Parameters
        ----------
        key
            Its namespace and name.

        Returns
        -------
        set of PoolKey
            Empty if there is no such VoiceModel; a pool need not exist.
        """
        if not isinstance(key, Key) or (body := self._owners.get(key)) is None:
            return set()
        ref = ((body.get("spec") or {}).get("serving") or {}).get("poolRef") or {}
        serving = ((body.get("status") or {}).get("serving") or {}).get("pool")
        return {PoolKey(key.namespace, name) for name in (ref.get("name"), serving) if name}

    def members(self, pool: PoolKey) -> list[Key]:
        """List the VoiceModels that name a pool, or that it serves.

        Parameters
        ----------
        pool
            Namespace and name of the VoicePool.

        Returns
        -------
        list of Key
            Their namespaces and names.
        """
        return [key for key in tuple(self._owners) if isinstance(key, Key) and pool in self.pools(key)]

    def models(self) -> Iterator[Object]:
        """Iterate over all VoiceModels.

        Yields
        ------
        dict
            A VoiceModel.
        """
        return iter([body for key, body in tuple(self._owners.items()) if isinstance(key, Key)])

    def children(self, key: OwnerKey) -> Children:
        """Return the objects that belong to a VoiceModel or a VoicePool.

        Parameters
        ----------
        key
            Its namespace and name.

        Returns
        -------
        Children
            The objects by kind; empty if there are none.
        """
        return self._children.setdefault(key, Children())

    def cleanups(self) -> Iterator[tuple[Key, Object]]:
        """Iterate over all cleanup Jobs, waiting or running, with the key of their VoiceModel.

        Yields
        ------
        tuple
            The key and the Job.
        """
        for key, children in tuple(self._children.items()):
            for job in tuple(children.jobs.values()):
                if isinstance(key, Key) and CLEANUP_LABEL in job["metadata"].get("labels", {}):
                    yield key, job

    def put(self, body: Object) -> OwnerKey | None:
        """Store an object unless a newer version is known: answers to writes arrive before their watch events.

        Parameters
        ----------
        body
            An object as the API server sent it.

        Returns
        -------
        Key or PoolKey or None
            The VoiceModel or VoicePool it belongs to; None if it belongs to none.
        """
        if (key := key_of(body)) is None:
            return None
        if body["kind"] in OWNERS:
            objects: dict[Any, Object] = self._owners
            name: Any = key
        else:
            objects, name = self.children(key).by_kind(body["kind"]), body["metadata"]["name"]
        cached = objects.get(name)
        same = cached is not None and cached["metadata"].get("uid") == body["metadata"].get("uid")
        self.pod_failures.record(key, body)
        if cached is None or not same or _version(body) >= _version(cached):
            objects[name] = {**body, "metadata": {k: v for k, v in body["metadata"].items() if k != "managedFields"}}
        return key

    def is_known(self, body: Object) -> bool:
        """Return whether this version of a VoiceModel or a VoicePool, or a newer one, is cached.

        Parameters
        ----------
        body
            An object as the API server sent it.

        Returns
        -------
        bool
            Always False for objects of other kinds.
        """
        if body["kind"] not in OWNERS or (cached := self._owners.get(key_of(body) or Key("", ""))) is None:
            return False
        same = cached["metadata"].get("uid") == body["metadata"].get("uid")
        return same and _version(body) <= _version(cached)

    def remove(self, body: Object) -> OwnerKey | None:
        """Remove an object that was deleted. How a pod of Ray ended is remembered in `pod_failures`.

        Parameters
        ----------
        body
            An object as the API server sent it.

        Returns
        -------
        Key or PoolKey or None
            The VoiceModel or VoicePool it belonged to; None if it belonged to none.
        """
        if (key := key_of(body)) is None:
            return None
        if body["kind"] in OWNERS:
            self._owners.pop(key, None)
        else:
            self.pod_failures.record(key, body)
            self.children(key).by_kind(body["kind"]).pop(body["metadata"]["name"], None)
        children = self._children.get(key)
        if key not in self._owners and children == Children():
            del self._children[key]
        return key

    def missed_deletions(self, kind: str, uids: Collection[str], version: int) -> list[Object]:
        """Find deletions that no watch has reported.

        Parameters
        ----------
        kind
            The kind that was listed.
        uids
            UIDs of the listed objects.
        version
            The resourceVersion of the list.

        Returns
        -------
        list of dict
            Cached objects that are older than the list and not in it.
        """
        cached = self._cached_objects(kind)
        return [body for body in cached if body["metadata"]["uid"] not in uids and _version(body) < version]

    def missed_updates(self, kind: str, versions: Mapping[str, int]) -> dict[str, int]:
        """Find changes that no watch has reported.

        Parameters
        ----------
        kind
            The kind that was listed.
        versions
            The resourceVersion of each listed object, by UID.

        Returns
        -------
        dict
            Those that are newer than the cached objects, by UID.
        """
        cached = {body["metadata"]["uid"]: _version(body) for body in self._cached_objects(kind)}
        return {uid: version for uid, version in versions.items() if cached.get(uid, -1) < version}

    def _cached_objects(self, kind: str) -> list[Object]:
        if kind in OWNERS:
            return [body for body in self._owners.values() if body["kind"] == kind]
        return [body for children in self._children.values() for body in children.by_kind(kind).values()]
