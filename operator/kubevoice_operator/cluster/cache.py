"""The cache that the watches fill: VoiceModels and the objects that belong to each, as the API server sent them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kubevoice.resources.voicemodel import KIND

from kubevoice_operator.render.names import CLEANUP_LABEL, VOICE_LABEL

__all__ = ["Children", "Key", "ResourceCache", "key_of"]

Object = Mapping[str, Any]
INSTANCE_LABEL = "app.kubernetes.io/instance"


class Key(NamedTuple):
    """Namespace and name of a VoiceModel."""

    namespace: str
    name: str


@dataclass(slots=True)
class Children:
    """Objects that belong to one VoiceModel, by kind and name."""

    jobs: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    services: dict[str, Object] = field(default_factory=dict)
    clusters: dict[str, Object] = field(default_factory=dict)
    ingresses: dict[str, Object] = field(default_factory=dict)
    routes: dict[str, Object] = field(default_factory=dict)
    policies: dict[str, Object] = field(default_factory=dict)

    def by_kind(self, kind: str) -> dict[str, Object]:
        """Return the objects of a kind."""
        return {
            "Job": self.jobs,
            "Pod": self.pods,
            "RayService": self.services,
            "RayCluster": self.clusters,
            "Ingress": self.ingresses,
            "HTTPRoute": self.routes,
            "NetworkPolicy": self.policies,
        }[kind]


def key_of(body: Object) -> Key | None:
    """Return the VoiceModel that an object is or belongs to; None if it belongs to none."""
    meta = body["metadata"]
    if body.get("kind") == KIND:
        return Key(meta["namespace"], meta["name"])
    labels = meta.get("labels", {})
    name = labels.get(VOICE_LABEL) or (labels.get(INSTANCE_LABEL) if CLEANUP_LABEL in labels else None)
    return Key(meta["namespace"], name) if name else None


def _version(body: Object) -> int:
    return int(body["metadata"].get("resourceVersion", 0))


class ResourceCache:
    """The newest version seen of every object.

    Watches and the answers to the operator's own writes fill it; both run in one event loop. An object leaves it when
    its deletion is seen, or by `missed_deletions` after a list.
    """

    def __init__(self) -> None:
        self._models: dict[Key, Object] = {}
        """VoiceModels. Set by `put`, cleared by `remove`."""
        self._children: dict[Key, Children] = {}
        """What belongs to each; also of a VoiceModel that is gone, until its last object is."""

    def model(self, key: Key) -> Object | None:
        """Return a VoiceModel; None if there is none."""
        return self._models.get(key)

    def models(self) -> Iterator[Object]:
        """Iterate over all VoiceModels."""
        return iter(tuple(self._models.values()))

    def children(self, key: Key) -> Children:
        """Return the objects that belong to a VoiceModel."""
        return self._children.setdefault(key, Children())

    def cleanups(self) -> Iterator[tuple[Key, Object]]:
        """Iterate over all cleanup Jobs, waiting or running, with the key of their VoiceModel."""
        for key, children in tuple(self._children.items()):
            for job in tuple(children.jobs.values()):
                if CLEANUP_LABEL in job["metadata"].get("labels", {}):
                    yield key, job

    def put(self, body: Object) -> Key | None:
        """Store an object unless a newer version is known: answers to writes arrive before their watch events.

        Returns
        -------
        Key or None
            The VoiceModel it belongs to; None if it belongs to none.
        """
        if (key := key_of(body)) is None:
            return None
        if body["kind"] == KIND:
            objects: dict[Any, Object] = self._models
            name: Any = key
        else:
            objects, name = self.children(key).by_kind(body["kind"]), body["metadata"]["name"]
        known = objects.get(name)
        same = known is not None and known["metadata"].get("uid") == body["metadata"].get("uid")
        if known is None or not same or _version(body) >= _version(known):
            objects[name] = {**body, "metadata": {k: v for k, v in body["metadata"].items() if k != "managedFields"}}
        return key

    def remove(self, body: Object) -> Key | None:
        """Remove an object that was deleted; return the VoiceModel it belonged to."""
        if (key := key_of(body)) is None:
            return None
        if body["kind"] == KIND:
            self._models.pop(key, None)
        else:
            self.children(key).by_kind(body["kind"]).pop(body["metadata"]["name"], None)
        children = self._children.get(key)
        if key not in self._models and children == Children():
            del self._children[key]
        return key

    def missed_deletions(self, kind: str, uids: Collection[str], version: int) -> list[Object]:
        """Return cached objects of a kind older than `version` that a list of `uids` as of then does not have."""
        known = self._known(kind)
        return [body for body in known if body["metadata"]["uid"] not in uids and _version(body) < version]

    def missed_updates(self, kind: str, versions: Mapping[str, int]) -> dict[str, int]:
        """Return those of the listed `versions`, by UID, that are newer than what the cache has."""
        known = {body["metadata"]["uid"]: _version(body) for body in self._known(kind)}
        return {uid: version for uid, version in versions.items() if known.get(uid, -1) < version}

    def _known(self, kind: str) -> list[Object]:
        if kind == KIND:
            return list(self._models.values())
        return [body for children in self._children.values() for body in children.by_kind(kind).values()]
