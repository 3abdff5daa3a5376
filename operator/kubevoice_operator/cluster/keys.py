"""Names the VoiceModel or VoicePool that an object of the API server is or belongs to."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kubevoice.resources.voicemodel import KIND
from kubevoice.resources.voicepool import POOL_KIND

from kubevoice_operator.render.names import CLEANUP_LABEL, POOL_LABEL, VOICE_LABEL

__all__ = ["Key", "OwnerKey", "PoolKey", "key_of"]

Object = Mapping[str, Any]
INSTANCE_LABEL = "app.kubernetes.io/instance"


class Key(NamedTuple):
    """Namespace and name of a VoiceModel."""

    namespace: str
    name: str


class PoolKey(NamedTuple):
    """Namespace and name of a VoicePool."""

    namespace: str
    name: str
    kind: str = POOL_KIND
    """Makes it differ from the `Key` of a VoiceModel of the same name."""


OwnerKey = Key | PoolKey


def key_of(body: Object) -> OwnerKey | None:
    """Return the VoiceModel or VoicePool that an object is or belongs to; None if it belongs to none.

    Parameters
    ----------
    body
        An object as the API server sent it.

    Returns
    -------
    Key or PoolKey or None
        Namespace and name.
    """
    meta = body["metadata"]
    if body.get("kind") == KIND:
        return Key(meta["namespace"], meta["name"])
    if body.get("kind") == POOL_KIND:
        return PoolKey(meta["namespace"], meta["name"])
    labels = meta.get("labels", {})
    if pool := labels.get(POOL_LABEL):
        return PoolKey(meta["namespace"], pool)
    name = labels.get(VOICE_LABEL) or (labels.get(INSTANCE_LABEL) if CLEANUP_LABEL in labels else None)
    return Key(meta["namespace"], name) if name else None
