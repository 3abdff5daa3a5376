"""Names, labels, annotations and paths shared by the modules that render objects and those that read them."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from kubevoice.digests import hash_json
from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import API_VERSION, KIND, VoiceModel

__all__ = [
    "CACHE_DIR",
    "CLEANUP_LABEL",
    "HASH_ANNOTATION",
    "KEYS_DIR",
    "KEY_LABEL",
    "REFRESH_ANNOTATION",
    "RESULT_ANNOTATION",
    "RESULT_FILE",
    "SPEC_ANNOTATION",
    "SPEC_DIR",
    "STAGE_LABEL",
    "TELEMETRY_PORT",
    "TEMPLATE_HASH_ANNOTATION",
    "VOICE_LABEL",
    "WORK_DIR",
    "Images",
    "content_hash",
    "labels",
    "owner_references",
    "serve_service",
    "voice_object",
]

SPEC_ANNOTATION = "kubevoice.io/stage-spec"
HASH_ANNOTATION = "kubevoice.io/rendered"
TEMPLATE_HASH_ANNOTATION = "kubevoice.io/shape"  # Jobs of earlier versions carry this key
RESULT_ANNOTATION = "kubevoice.io/result"
"""The result of a Job, copied from its pod, which may disappear with its node."""
REFRESH_ANNOTATION = "kubevoice.io/refresh"
"""Set by users to any new value to read the dataset again and retry what failed."""
VOICE_LABEL = "kubevoice.io/voicemodel"
STAGE_LABEL = "kubevoice.io/stage"
KEY_LABEL = "kubevoice.io/key"
CLEANUP_LABEL = "kubevoice.io/cleanup"
"""UID of the VoiceModel whose artifacts a Job deletes once that VoiceModel is gone."""
TELEMETRY_PORT = 9090
SPEC_DIR = "/etc/kubevoice"
WORK_DIR = "/workspace"
CACHE_DIR = "/var/cache/kubevoice"
KEYS_DIR = "/etc/kubevoice-keys"
RESULT_FILE = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class Images:
    """Container images used where a VoiceModel names none, and the Secrets of its namespace to pull with."""

    training: str = f"kubevoice/training:{version('kubevoice')}"
    serving: str = f"kubevoice/serving:{version('kubevoice')}"
    pull_secrets: tuple[str, ...] = ()


def labels(model: VoiceModel, stage: Stage | None = None) -> dict[str, str]:
    """Return the labels of an object that belongs to `model`; with the stage's label for objects of a stage.

    Parameters
    ----------
    model
        The VoiceModel.
    stage
        The stage whose object it is; None for the VoiceModel's other objects.

    Returns
    -------
    dict
        Labels.
    """
    common = {
        "app.kubernetes.io/name": "kubevoice",
        "app.kubernetes.io/instance": model.metadata.name,
        "app.kubernetes.io/component": str(stage) if stage else "serving",
        "app.kubernetes.io/managed-by": "kubevoice",
        VOICE_LABEL: model.metadata.name,
    }
    return common | ({STAGE_LABEL: str(stage)} if stage else {})


def owner_references(model: VoiceModel) -> list[dict[str, Any]]:
    """Name `model` as the owner, so that Kubernetes removes what belongs to it. Empty without a cluster.

    Parameters
    ----------
    model
        The VoiceModel.

    Returns
    -------
    list of dict
        One owner reference; none without a cluster.
    """
    if not model.metadata.uid:
        return []
    return [
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": model.metadata.name,
            "uid": model.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def voice_object(model: VoiceModel, api_version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return the one object of a kind that a VoiceModel has: of its name, with its labels, and its own.

    Parameters
    ----------
    model
        The VoiceModel.
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
        "name": model.metadata.name,
        "namespace": model.metadata.namespace,
        "labels": labels(model),
    }
    if owners := owner_references(model):
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
