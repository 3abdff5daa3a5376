"""Serving as a RayService: a Ray cluster, and the application on it."""

from dataclasses import dataclass
from typing import Any

import yaml
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.render.names import CACHE_DIR, Images, labels, owner_references
from kubevoice_operator.render.pod import container_security, placement, pod_security, storage_env, storage_volumes

__all__ = ["APPLICATION", "HTTP_PORT", "Bundle", "Traffic", "render_rayservice", "serve_config", "worker_bounds"]

RAY_VERSION = "2.60.0"
APPLICATION = "voice"
HTTP_PORT = 8000
WORKERS = "synthesizer"
INGRESS_CPUS = 0.1
ONGOING_HEADROOM = 2
"""A replica accepts this many times the requests it is sized for, so that the autoscaler sees load before a queue."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A released voice: its revision, and where it lies."""

    revision: str
    uri: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which bundles answer: the stable one, and a canary that gets `weight` percent of the requests."""

    stable: Bundle
    canary: Bundle | None = None
    weight: int = 0


def worker_bounds(model: VoiceModel) -> tuple[int, int]:
    """Return how few and how many worker pods the service may have."""
    return model.spec.serving.min_replicas, model.spec.serving.max_replicas


def _synthesizer(model: VoiceModel, bundle: Bundle) -> dict[str, Any]:
    serving, storage = model.spec.serving, model.spec.storage
    where: dict[str, Any] = {"region": storage.region, "pathStyle": storage.path_style}
    if storage.endpoint:
        where["endpoint"] = storage.endpoint
    return {
        "name": "Synthesizer",
        "max_ongoing_requests": max(1, round(ONGOING_HEADROOM * serving.target_ongoing_requests)),
        "max_queued_requests": serving.max_queued_requests,
        "autoscaling_config": {
            "min_replicas": serving.min_replicas,
            "max_replicas": serving.max_replicas,
            "target_ongoing_requests": serving.target_ongoing_requests,
            "upscale_delay_s": serving.upscale_delay_seconds,
            "downscale_delay_s": serving.downscale_delay_seconds,
        },
        "ray_actor_options": {"num_cpus": serving.replica.cpu, "num_gpus": serving.replica.gpu},
        "user_config": {
            "voices": [{"name": model.metadata.name, "revision": bundle.revision, "uri": bundle.uri, "storage": where}],
            "default": model.metadata.name,
            "threads": serving.replica.threads,
        },
    }


def serve_config(model: VoiceModel, traffic: Traffic) -> dict[str, Any]:
    """Return the Ray Serve config: a new revision changes `user_config` alone, which Ray swaps in place."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": HTTP_PORT},  # noqa: S104  # a pod's own address
        "applications": [
            {
                "name": APPLICATION,
                "route_prefix": "/",
                "import_path": "kubevoice_serving.app:build",
                "args": {"cacheDir": CACHE_DIR},
                "deployments": [
                    {"name": "Ingress", "ray_actor_options": {"num_cpus": INGRESS_CPUS}},
                    _synthesizer(model, traffic.stable),
                ],
            }
        ],
    }


def _pod(model: VoiceModel, images: Images, name: str, resources: dict[str, Any]) -> dict[str, Any]:
    ca_volumes, ca_mounts = storage_volumes(model.spec.storage)
    container: dict[str, Any] = {
        "name": name,
        "image": model.spec.serving.image or images.serving,
        **storage_env(model.spec.storage),
        "resources": resources,
        "volumeMounts": [
            {"name": "cache", "mountPath": CACHE_DIR},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # inside the container
            *ca_mounts,
        ],
        "securityContext": container_security(),
    }
    return {
        "metadata": {"labels": labels(model)},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_security(),
            "containers": [container],
            "volumes": [{"name": "cache", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}, *ca_volumes],
            **placement(model.spec.serving),
        },
    }


def _worker_resources(model: VoiceModel) -> dict[str, Any]:
    replica = model.spec.serving.replica
    # Room for the HTTP side beside the replica: it runs on every node.
    requests: dict[str, Any] = {"cpu": f"{round(1000 * (replica.cpu + INGRESS_CPUS))}m", "memory": replica.memory}
    limits: dict[str, Any] = {"memory": replica.memory}
    if replica.gpu:
        requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = str(replica.gpu)
    return {"requests": requests, "limits": limits}


def render_rayservice(model: VoiceModel, traffic: Traffic, images: Images) -> dict[str, Any]:
    """Render the RayService that divides requests as `traffic` says; the same bytes for the same arguments."""
    least, most = worker_bounds(model)
    metadata: dict[str, Any] = {
        "name": model.metadata.name,
        "namespace": model.metadata.namespace,
        "labels": labels(model),
    }
    if owners := owner_references(model):
        metadata["ownerReferences"] = owners
    head = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": metadata,
        "spec": {
            "serveConfigV2": yaml.safe_dump(serve_config(model, traffic), sort_keys=True),
            "rayClusterConfig": {
                "rayVersion": RAY_VERSION,
                "enableInTreeAutoscaling": most > least,
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104  # KubeRay calls it
                    "template": _pod(model, images, "ray-head", head),
                },
                "workerGroupSpecs": [
                    {
                        "groupName": WORKERS,
                        "replicas": max(1, least),
                        "minReplicas": least,
                        "maxReplicas": most,
                        "rayStartParams": {},
                        "template": _pod(model, images, "ray-worker", _worker_resources(model)),
                    }
                ],
            },
        },
    }
