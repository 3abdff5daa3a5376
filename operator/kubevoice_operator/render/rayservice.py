"""Renders the RayService: a Ray cluster and its Serve applications. For KubeRay 1.6 and later."""

from collections.abc import Sequence
from typing import Any

import yaml
from kubevoice.resources.data_plane import VoiceConfig
from kubevoice.resources.serving import Serving, Strategy
from kubevoice.resources.voicemodel import VoiceModel
from kubevoice.resources.voicepool import VoicePool

from kubevoice_operator.render.names import CACHE_DIR, KEYS_DIR, Images, Owner, content_hash, labels, owned_object
from kubevoice_operator.render.pod import (
    container_security,
    placement,
    pod_security,
    pull_secrets,
    storage_env,
    storage_volumes,
)
from kubevoice_operator.render.ray_environment import DRAIN_SECONDS, PROXY_ENVIRONMENT, RAY_ENVIRONMENT
from kubevoice_operator.render.serve_config import (
    APPLICATION,
    HTTP_PORT,
    BundleRef,
    TrafficSplit,
    replica_cpus,
    restart_fingerprint,
    serve_config,
    serve_pool_config,
)

__all__ = [
    "APPLICATION",
    "DASHBOARD_PORT",
    "HTTP_PORT",
    "METRICS_PORT",
    "BundleRef",
    "TrafficSplit",
    "render_pool_rayservice",
    "render_rayservice",
    "serve_config",
    "worker_bounds",
]

RAY_VERSION = "2.60.0"
WORKERS = "synthesizer"
RESTART_ANNOTATION = "kubevoice.io/program"
CANARY_ROOM = 1
PROXY_CPU = 0.1
"""CPU of the HTTP proxy on each worker."""
OBJECT_STORE_BYTES = 128 << 20
"""Responses pass through the object store; Ray's default is a third of the memory."""
IDLE_SECONDS = 60
"""Time until a worker without a replica is removed; its proxy may still forward responses."""
DASHBOARD_PORT, METRICS_PORT = 8265, 8080
HEAD_PORTS = {"gcs-server": 6379, "dashboard": DASHBOARD_PORT, "metrics": METRICS_PORT, "serve": HTTP_PORT}
WORKER_PORTS = {"metrics": METRICS_PORT, "serve": HTTP_PORT}
HEAD_RESOURCES = {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"memory": "4Gi"}}
AUTOSCALER_RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
PRESTOP_SECONDS = 300
"""Time limit of a worker's preStop hook: its replica is replaced elsewhere, then its requests are finished."""
STOP_SECONDS = 30
"""Time for the processes of a pod to end after SIGTERM."""
HEAD_GRACE_SECONDS = 5
"""Time until a deleted head is killed. The shell in which KubeRay starts Ray ignores SIGTERM as process 1, so Ray
answers requests under way until then."""
API_ACCESS_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
SCRATCH_DIR = "/tmp"  # noqa: S108  # inside the container

Object = dict[str, Any]


def worker_bounds(owner: Owner) -> tuple[int, int]:
    """Return the minimum and maximum of worker pods; each holds one replica, and a canary needs one more.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.

    Returns
    -------
    tuple of int
        Minimum and maximum.
    """
    serving = owner.spec.serving
    canary = isinstance(serving, Serving) and serving.rollout.strategy is Strategy.CANARY
    return serving.min_replicas, serving.max_replicas + (CANARY_ROOM if canary else 0)


def _build_mount(volume: str, path: str) -> Object:
    return {"name": volume, "mountPath": path}


def _build_tracing_env(owner: Owner) -> dict[str, str]:
    """Return OpenTelemetry's standard environment variables; empty without spec.serving.tracing."""
    if (tracing := owner.spec.serving.tracing) is None:
        return {}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": tracing.endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(tracing.sample_ratio),
        "OTEL_SERVICE_NAME": owner.metadata.name,
        "OTEL_RESOURCE_ATTRIBUTES": f"k8s.namespace.name={owner.metadata.namespace}",
    }


def _build_container(owner: Owner, images: Images, name: str, ports: dict[str, int], resources: Object) -> Object:
    environment = {"HOME": SCRATCH_DIR, **RAY_ENVIRONMENT, **PROXY_ENVIRONMENT, **_build_tracing_env(owner)}
    return {
        "name": name,
        "image": owner.spec.serving.image or images.serving,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "ports": [{"name": label, "containerPort": number} for label, number in ports.items()],
        "resources": resources,
        "volumeMounts": [_build_mount("cache", CACHE_DIR), _build_mount("tmp", SCRATCH_DIR)],
        "securityContext": container_security(),
    }


def _build_template(owner: Owner, images: Images, container: Object) -> Object:
    scheduling = placement(owner.spec.serving)
    # KubeRay ignores changes of tolerations and of Serve's restart settings, but not of annotations. With this one it
    # prepares a new cluster, which takes over when its replicas are ready.
    restart = content_hash({"placement": scheduling, "program": restart_fingerprint(owner)})
    return {
        "metadata": {"labels": labels(owner), "annotations": {RESTART_ANNOTATION: restart}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_security(),
            "containers": [container],
            "volumes": [{"name": "cache", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
            **scheduling,
            **pull_secrets(images),
        },
    }


def _build_head(owner: Owner, images: Images) -> Object:
    """Return the head group: the ingress deployment and Ray's control processes. It has no storage credentials."""
    container = _build_container(owner, images, "ray-head", HEAD_PORTS, HEAD_RESOURCES)
    if (secret := owner.spec.serving.cache.redis_secret_ref) is not None:
        container["env"] += [_build_secret_env(name, secret.name) for name in ("REDIS_USERNAME", "REDIS_PASSWORD")]
    template = _build_template(owner, images, container)
    # Not a shared process namespace, as workers have: through /proc it would give Ray the autoscaler's token.
    template["spec"]["terminationGracePeriodSeconds"] = HEAD_GRACE_SECONDS
    template["spec"]["volumes"].append(_build_api_access())
    if (auth := owner.spec.serving.expose.auth) is not None:
        # A volume follows changes of the Secret. If the key is missing, the pod waits and Kubernetes reports it.
        items = [{"key": auth.key, "path": auth.key}]
        template["spec"]["volumes"].append(
            {"name": "api-keys", "secret": {"secretName": auth.secret_ref.name, "items": items}}
        )
        container["volumeMounts"].append(_build_mount("api-keys", KEYS_DIR) | {"readOnly": True})
    return {
        "rayStartParams": {
            "num-cpus": "0",
            "object-store-memory": str(OBJECT_STORE_BYTES),
            "dashboard-host": "0.0.0.0",  # noqa: S104  # KubeRay calls it
        },
        "template": template,
    }


def _build_secret_env(name: str, secret: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name, "optional": True}}}


def _build_api_access() -> Object:
    """Return the service account volume; it is mounted into the autoscaler container only."""
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
    authority = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    return {"name": "api-access", "projected": {"sources": [token, authority]}}


def _build_autoscaler() -> Object:
    """Return the options of Ray's autoscaler, a sidecar of the head that adds and removes workers."""
    return {
        "version": "v2",
        "idleTimeoutSeconds": IDLE_SECONDS,
        "resources": AUTOSCALER_RESOURCES,
        "securityContext": container_security(),
        "env": [{"name": "HOME", "value": SCRATCH_DIR}],
        "volumeMounts": [
            _build_mount("tmp", SCRATCH_DIR),
            _build_mount("api-access", API_ACCESS_DIR) | {"readOnly": True},
        ],
    }


def _build_worker_resources(owner: Owner) -> Object:
    replica = owner.spec.serving.replica
    requests: Object = {"cpu": f"{round(1000 * (replica.cpu + PROXY_CPU))}m", "memory": replica.memory}
    limits: Object = {"memory": replica.memory}
    if replica.gpu:
        requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = str(replica.gpu)
    return {"requests": requests, "limits": limits}


def _build_workers(owner: Owner, images: Images) -> Object:
    """Return the worker group. `KubernetesApi.set_worker_bounds` patches it as the first group of the cluster."""
    least, most = worker_bounds(owner)
    container = _build_container(owner, images, "ray-worker", WORKER_PORTS, _build_worker_resources(owner))
    volumes, mounts = storage_volumes(owner.spec.storage)
    access = storage_env(owner.spec.storage)
    container["env"] += [variable for variable in access.pop("env") if variable["name"] != "HOME"]
    container["volumeMounts"] += mounts
    drain = ["python", "-m", "kubevoice_serving.routing.drain", str(PRESTOP_SECONDS)]
    container |= access | {"lifecycle": {"preStop": {"exec": {"command": drain}}}}
    template = _build_template(owner, images, container)
    template["spec"]["volumes"] += volumes
    template["spec"]["terminationGracePeriodSeconds"] = PRESTOP_SECONDS + STOP_SECONDS
    # As process 1 of its container, the shell in which KubeRay waits for the head would ignore SIGTERM, and a worker
    # deleted before it started would use up the whole grace period.
    template["spec"]["shareProcessNamespace"] = True
    return {
        "groupName": WORKERS,
        "replicas": max(1, least),
        "minReplicas": least,
        "maxReplicas": most,
        "rayStartParams": {
            "num-cpus": str(replica_cpus(owner)),
            "object-store-memory": str(OBJECT_STORE_BYTES),
        },
        "template": template,
    }


def _build_rayservice(owner: Owner, config: Object, images: Images) -> Object:
    cluster: Object = {
        "rayVersion": RAY_VERSION,
        # Always on: switching it on later would need a new cluster.
        "enableInTreeAutoscaling": True,
        # Whoever reaches the dashboard runs code in the pods, unless it asks for a token (CVE-2023-48022).
        "authOptions": {"mode": "token"},
        "autoscalerOptions": _build_autoscaler(),
        "headGroupSpec": _build_head(owner, images),
        "workerGroupSpecs": [_build_workers(owner, images)],
    }
    spec: Object = {
        "serveConfigV2": yaml.safe_dump(config, sort_keys=True),
        # The ingress deployment is on the head, and its proxy is the only one while there is no worker.
        "excludeHeadPodFromServeSvc": False,
        "rayClusterDeletionDelaySeconds": DRAIN_SECONDS,
        "rayClusterConfig": cluster,
    }
    return owned_object(owner, "ray.io/v1", "RayService", spec)


def render_rayservice(model: VoiceModel, traffic: TrafficSplit, images: Images) -> Object:
    """Render the RayService of a voice.

    Parameters
    ----------
    model
        The VoiceModel that owns it.
    traffic
        Which bundles are served, and the canary's share.
    images
        Images used where the VoiceModel names none.

    Returns
    -------
    dict
        The object, the same for the same arguments.
    """
    return _build_rayservice(model, serve_config(model, traffic), images)


def render_pool_rayservice(pool: VoicePool, voices: Sequence[VoiceConfig], images: Images) -> Object:
    """Render the RayService of a pool.

    Parameters
    ----------
    pool
        The VoicePool that owns it.
    voices
        Its voices, at least one.
    images
        Images used where the VoicePool names none.

    Returns
    -------
    dict
        The object, the same for the same arguments.
    """
    return _build_rayservice(pool, serve_pool_config(pool, voices), images)
