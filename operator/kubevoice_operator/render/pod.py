"""Parts that all pods share; they meet the Restricted Pod Security Standard."""

from typing import Any

from kubevoice.resources.storage_access import StorageAccess
from kubevoice.resources.training import Pods

from kubevoice_operator.render.names import Images

__all__ = [
    "CA_DIR",
    "container_security",
    "placement",
    "pod_security",
    "pull_secrets",
    "storage_env",
    "storage_volumes",
]

CA_DIR = "/etc/kubevoice-ca"
USER = 10001


def pod_security() -> dict[str, Any]:
    """Return a pod's security context: not root, with the runtime's default seccomp profile.

    Returns
    -------
    dict
        A `securityContext`.
    """
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """Return a container's security context: no capabilities and no privilege escalation.

    Returns
    -------
    dict
        A `securityContext`.
    """
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def placement(pods: Pods) -> dict[str, Any]:
    """Return node selector and tolerations.

    Parameters
    ----------
    pods
        The part of the spec that says where pods run.

    Returns
    -------
    dict
        `nodeSelector` and `tolerations`, those that are set.
    """
    scheduling: dict[str, Any] = {}
    if pods.node_selector:
        scheduling["nodeSelector"] = dict(pods.node_selector)
    if pods.tolerations:
        scheduling["tolerations"] = [dict(toleration) for toleration in pods.tolerations]
    return scheduling


def pull_secrets(images: Images) -> dict[str, Any]:
    """Return `imagePullSecrets`; empty without any.

    Parameters
    ----------
    images
        Images and their pull secrets.

    Returns
    -------
    dict
        `imagePullSecrets`, or nothing.
    """
    if not images.pull_secrets:
        return {}
    return {"imagePullSecrets": [{"name": name} for name in images.pull_secrets]}


def storage_env(storage: StorageAccess) -> dict[str, Any]:
    """Return `env` and `envFrom` of a container that uses storage; credentials stay in their Secret.

    Parameters
    ----------
    storage
        The storage.

    Returns
    -------
    dict
        `env` and `envFrom`.
    """
    access: dict[str, Any] = {"env": [{"name": "HOME", "value": "/tmp"}]}  # noqa: S108  # the only writable place
    if storage.ca_bundle_ref:
        access["env"].append({"name": "AWS_CA_BUNDLE", "value": f"{CA_DIR}/ca.crt"})
    if storage.secret_ref:
        access["envFrom"] = [{"secretRef": {"name": storage.secret_ref.name}}]
    return access


def storage_volumes(storage: StorageAccess) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return volumes and mounts of the storage's CA bundle; empty lists if the spec names none.

    Parameters
    ----------
    storage
        The storage.

    Returns
    -------
    tuple
        Volumes of the pod, and mounts of the container.
    """
    if (ref := storage.ca_bundle_ref) is None:
        return [], []
    volume = {"name": "ca", "configMap": {"name": ref.config_map, "items": [{"key": ref.key, "path": "ca.crt"}]}}
    return [volume], [{"name": "ca", "mountPath": CA_DIR, "readOnly": True}]
