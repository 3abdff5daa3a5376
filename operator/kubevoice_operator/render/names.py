"""Names, labels, annotations and paths shared by the modules that render objects and those that read them."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from kubevoice.digests import hash_json
from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import API_VERSION, VoiceModel
from kubevoice.resources.voicepool import VoicePool

__all__ = [
    "CACHE_DIR",
    "CLEANUP_LABEL",
    "HASH_ANNOTATION",
    "KEYS_DIR",
    "KEY_LABEL",
    "MANAGED_LABEL",
    "MANAGER",
    "POOL_LABEL",
    "REFRESH_ANNOTATION",
    "RESULT_ANNOTATION",
    "RESULT_FILE",
    "SPEC_ANNOTATION",
    "SPEC_DIR",
    "STAGE_LABEL",
    "TELEMETRY_PORT",
    "TEMPLATE_HASH_ANNOTATION",
    "VOICE_LABEL",
    "WORKERS_SELECTOR",
    "WORK_DIR",
    "Images",
    "Owner",
    "content_hash",
    "labels",
    "object_name",
    "owned_object",
    "owner_label",
    "owner_references",
    "pool_object_name",
    "serve_service",
]

SPEC_ANNOTATION = "kubevoice.io/stage-spec"
HASH_ANNOTATION = "kubevoice.io/rendered"
TEMPLATE_HASH_ANNOTATION = "kubevoice.io/shape"  # Jobs of earlier versions carry this key
RESULT_ANNOTATION = "kubevoice.io/result"
"""The result of a Job, copied from its pod, which may disappear with its node."""
REFRESH_ANNOTATION = "kubevoice.io/refresh"
"""Set by users to any new value to read the dataset again and retry what failed."""
VOICE_LABEL = "kubevoice.io/voicemodel"
POOL_LABEL = "kubevoice.io/voicepool"
MANAGED_LABEL, MANAGER = "app.kubernetes.io/managed-by", "kubevoice"
"""Of every object that belongs to a VoiceModel or a VoicePool."""
STAGE_LABEL = "kubevoice.io/stage"
KEY_LABEL = "kubevoice.io/key"
CLEANUP_LABEL = "kubevoice.io/cleanup"
"""UID of the VoiceModel whose artifacts a Job deletes once that VoiceModel is gone."""
WORKERS_SELECTOR = "ray.io/node-type=worker"
"""KubeRay's label of the pods that hold replicas."""
TELEMETRY_PORT = 9090
SPEC_DIR = "/etc/kubevoice"
WORK_DIR = "/workspace"
CACHE_DIR = "/var/cache/kubevoice"
KEYS_DIR = "/etc/kubevoice-keys"
RESULT_FILE = "/dev/termination-log"


Owner = VoiceModel | VoicePool
"""What has a RayService."""


@dataclass(frozen=True, slots=True)
class Images:
    """Container images used where a VoiceModel names none, and the Secrets of its namespace to pull with."""

    training: str = f"kubevoice/training:{version('kubevoice')}"
    serving: str = f"kubevoice/serving:{version('kubevoice')}"
    pull_secrets: tuple[str, ...] = ()


def pool_object_name(pool: str) -> str:
    """Return the name of the objects of a VoicePool. A VoiceModel may have the pool's own name.

    Parameters
    ----------
    pool
        The VoicePool's name.

    Returns
    -------
    str
        The name.
    """
    return f"{pool}-pool"


def object_name(owner: Owner) -> str:
    """Return the name of the objects that a VoiceModel or a VoicePool has one of, such as its RayService.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.

    Returns
    -------
    str
        The name.
    """
    name = owner.metadata.name
    return pool_object_name(name) if isinstance(owner, VoicePool) else name


def owner_label(owner: Owner) -> dict[str, str]:
    """Return the label that selects the objects of a VoiceModel or a VoicePool.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.

    Returns
    -------
    dict
        One label.
    """
    return {POOL_LABEL if isinstance(owner, VoicePool) else VOICE_LABEL: owner.metadata.name}


def labels(owner: Owner, stage: Stage | None = None) -> dict[str, str]:
    """Return the labels of an object that belongs to `owner`; with the stage's label for objects of a stage.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.
    stage
        The stage whose object it is; None for other objects.

    Returns
    -------
    dict
        Labels.
    """
    common = {
        "app.kubernetes.io/name": "kubevoice",
        "app.kubernetes.io/instance": owner.metadata.name,
        "app.kubernetes.io/component": str(stage) if stage else "serving",
        MANAGED_LABEL: MANAGER,
        **owner_label(owner),
    }
    return common | ({STAGE_LABEL: str(stage)} if stage else {})


def owner_references(owner: Owner) -> list[dict[str, Any]]:
    """Name `owner` as the owner, so that Kubernetes removes what belongs to it. Empty without a cluster.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.

    Returns
    -------
    list of dict
        One owner reference; none without a cluster.
    """
    if not owner.metadata.uid:
        return []
    return [
        {
            "apiVersion": API_VERSION,
            "kind": owner.kind,
            "name": owner.metadata.name,
            "uid": owner.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def owned_object(owner: Owner, api_version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return the one object of a kind that a VoiceModel or a VoicePool has, with its labels, and its own.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.
    api_version
        Group and version.
    kind
        The kind.
    spec
        The object's spec.

    Returns
    -------
    dict
        The object.
    """
    metadata: dict[str, Any] = {
        "name": object_name(owner),
        "namespace": owner.metadata.namespace,
        "labels": labels(owner),
    }
    if owners := owner_references(owner):
        metadata["ownerReferences"] = owners
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def serve_service(name: str) -> str:
    """Return the name of the Service that KubeRay makes for the RayService of this name.

    Parameters
    ----------
    name
        The RayService's name.

    Returns
    -------
    str
        The Service's name.
    """
    return f"{name}-serve-svc"


def content_hash(rendered: dict[str, Any]) -> str:
    """Return the hash of a rendered object: 16 hex digits of SHA-256 of its canonical JSON.

    Parameters
    ----------
    rendered
        The object.

    Returns
    -------
    str
        16 hex digits.
    """
    return hash_json(rendered)[:16]
