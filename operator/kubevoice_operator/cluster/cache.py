"""What the watches have seen: VoiceModels and what belongs to each, as the API server sent them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kubevoice.resources.voicemodel import KIND

from kubevoice_operator.render.names import CLEANUP_LABEL, VOICE_LABEL

__all__ = ["Cache", "Children", "Key", "key_of"]

Object = Mapping[str, Any]
INSTANCE_LABEL = "app.kubernetes.io/instance"


class Key(NamedTuple):
    """A VoiceModel."""

    namespace: str
    name: str


@dataclass(slots=True)
class Children:
    """What belongs to one VoiceModel, by kind and name."""

    jobs: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    services: dict[str, Object] = field(default_factory=dict)
    clusters: dict[str, Object] = field(default_factory=dict)
    ingresses: dict[str, Object] = field(default_factory=dict)
    routes: dict[str, Object] = field(default_factory=dict)
    policies: dict[str, Object] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Object]:
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


class Cache:
    """The newest version seen of every object."""

    def __init__(self) -> None:
        self._models: dict[Key, Object] = {}
        self._children: dict[Key, Children] = {}

    def model(self, key: Key) -> Object | None:
        """Return a VoiceModel."""
        return self._models.get(key)

    def models(self) -> Iterator[Object]:
        """Return every VoiceModel."""
        return iter(tuple(self._models.values()))

    def children(self, key: Key) -> Children:
        """Return what belongs to a VoiceModel."""
        return self._children.setdefault(key, Children())

    def cleanups(self) -> Iterator[tuple[Key, Object]]:
        """Return every Job that waits for, or does, the deletion of a voice's artifacts."""
        for key, children in tuple(self._children.items()):
            for job in tuple(children.jobs.values()):
                if CLEANUP_LABEL in job["metadata"].get("labels", {}):
                    yield key, job

    def put(self, body: Object) -> Key | None:
        """Remember an object, unless a newer version is known: answers to writes overtake the watch."""
        if (key := key_of(body)) is None:
            return None
        if body["kind"] == KIND:
            place: dict[Any, Object] = self._models
            name: Any = key
        else:
            place, name = self.children(key).of(body["kind"]), body["metadata"]["name"]
        known = place.get(name)
        same = known is not None and known["metadata"].get("uid") == body["metadata"].get("uid")
        if known is None or not same or _version(body) >= _version(known):
            place[name] = {**body, "metadata": {k: v for k, v in body["metadata"].items() if k != "managedFields"}}
        return key

    def drop(self, body: Object) -> Key | None:
        """Forget an object that was deleted."""
        if (key := key_of(body)) is None:
            return None
        if body["kind"] == KIND:
            self._models.pop(key, None)
        else:
            self.children(key).of(body["kind"]).pop(body["metadata"]["name"], None)
        children = self._children.get(key)
        if key not in self._models and children == Children():
            del self._children[key]
        return key

    def ghosts(self, kind: str, uids: Collection[str], version: int) -> list[Object]:
        """Return the objects of a kind that a list as of `version` does not show: their deletion went unseen."""
        known = self._known(kind)
        return [body for body in known if body["metadata"]["uid"] not in uids and _version(body) < version]

    def unseen(self, kind: str, versions: Mapping[str, int]) -> dict[str, int]:
        """Return those versions of objects of a kind, by UID, that are newer than what is known of them."""
        known = {body["metadata"]["uid"]: _version(body) for body in self._known(kind)}
        return {uid: version for uid, version in versions.items() if known.get(uid, -1) < version}

    def _known(self, kind: str) -> list[Object]:
        if kind == KIND:
            return list(self._models.values())
        return [body for children in self._children.values() for body in children.of(kind).values()]
