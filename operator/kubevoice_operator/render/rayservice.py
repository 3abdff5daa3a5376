"""Serving as a RayService: a Ray cluster, and the applications on it. Written for KubeRay 1.6 and later."""

from typing import Any

import yaml
from kubevoice.resources.serving import Strategy
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.render.names import CACHE_DIR, KEYS_DIR, Images, content_hash, labels, voice_object
from kubevoice_operator.render.pod import (
    container_security,
    placement,
    pod_security,
    pull_secrets,
    storage_env,
    storage_volumes,
)
from kubevoice_operator.render.serving import (
    APPLICATION,
    FINISH_SECONDS,
    HTTP_PORT,
    PROXY_ENVIRONMENT,
    RAY_ENVIRONMENT,
    Bundle,
    Traffic,
    program,
    replica_cpus,
    serve_config,
)

__all__ = [
    "APPLICATION",
    "DASHBOARD_PORT",
    "HTTP_PORT",
    "METRICS_PORT",
    "Bundle",
    "Traffic",
    "render_rayservice",
    "serve_config",
    "worker_bounds",
]

RAY_VERSION = "2.60.0"
WORKERS = "synthesizer"
RESTART_ANNOTATION = "kubevoice.io/program"
CANARY_ROOM = 1
PROXY_CPU = 0.1
"""What the HTTP proxy beside each replica takes of a CPU."""
OBJECT_STORE_BYTES = 128 << 20
"""Answers pass through it; Ray would set aside a third of the memory."""
IDLE_SECONDS = 60
"""How long a worker without a replica stays: Serve has waited already, and its proxy still passes on answers."""
DASHBOARD_PORT, METRICS_PORT = 8265, 8080
HEAD_PORTS = {"gcs-server": 6379, "dashboard": DASHBOARD_PORT, "metrics": METRICS_PORT, "serve": HTTP_PORT}
WORKER_PORTS = {"metrics": METRICS_PORT, "serve": HTTP_PORT}
HEAD_RESOURCES = {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"memory": "4Gi"}}
AUTOSCALER_RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
LEAVE_SECONDS = 300
"""How long a worker may take to leave: another takes its replica over, then it finishes its requests."""
STOP_SECONDS = 30
"""How long the processes of a pod may take to end by themselves."""
API_ACCESS_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
SCRATCH_DIR = "/tmp"  # noqa: S108  # inside the container

Object = dict[str, Any]


def worker_bounds(model: VoiceModel) -> tuple[int, int]:
    """Return how few and how many worker pods the service may have; each has room for one replica."""
    serving = model.spec.serving
    canary = CANARY_ROOM if serving.rollout.strategy is Strategy.CANARY else 0
    return serving.min_replicas, serving.max_replicas + canary


def _mount(volume: str, path: str) -> Object:
    return {"name": volume, "mountPath": path}


def _tracing(model: VoiceModel) -> dict[str, str]:
    """Return the variables by which OpenTelemetry's own specification is told where traces go."""
    if (tracing := model.spec.serving.tracing) is None:
        return {}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": tracing.endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(tracing.sample_ratio),
        "OTEL_SERVICE_NAME": model.metadata.name,
        "OTEL_RESOURCE_ATTRIBUTES": f"k8s.namespace.name={model.metadata.namespace}",
    }


def _container(model: VoiceModel, images: Images, name: str, ports: dict[str, int], resources: Object) -> Object:
    environment = {"HOME": SCRATCH_DIR, **RAY_ENVIRONMENT, **PROXY_ENVIRONMENT, **_tracing(model)}
    return {
        "name": name,
        "image": model.spec.serving.image or images.serving,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "ports": [{"name": label, "containerPort": number} for label, number in ports.items()],
        "resources": resources,
        "volumeMounts": [_mount("cache", CACHE_DIR), _mount("tmp", SCRATCH_DIR)],
        "securityContext": container_security(),
    }


def _template(model: VoiceModel, images: Images, container: Object) -> Object:
    where = placement(model.spec.serving)
    # KubeRay takes no notice of tolerations, nor of what makes Ray restart replicas, but of annotations: what they
    # sum up is changed by another cluster that takes over when it speaks.
    restart = content_hash({"placement": where, "program": program(model)})
    return {
        "metadata": {"labels": labels(model), "annotations": {RESTART_ANNOTATION: restart}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_security(),
            "containers": [container],
            "volumes": [{"name": "cache", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
            **where,
            **pull_secrets(images),
        },
    }


def _head(model: VoiceModel, images: Images) -> Object:
    """Return the head: the HTTP side, and what keeps Ray together. It needs no storage, so it gets no keys to that."""
    container = _container(model, images, "ray-head", HEAD_PORTS, HEAD_RESOURCES)
    if (secret := model.spec.serving.cache.redis_secret_ref) is not None:
        container["env"] += [_from_secret(name, secret.name) for name in ("REDIS_USERNAME", "REDIS_PASSWORD")]
    template = _template(model, images, container)
    template["spec"]["volumes"].append(_api_access())
    if (auth := model.spec.serving.expose.auth) is not None:
        # As a volume, because that follows the Secret; of a key that is not there, the pod waits and says so.
        items = [{"key": auth.key, "path": auth.key}]
        template["spec"]["volumes"].append(
            {"name": "api-keys", "secret": {"secretName": auth.secret_ref.name, "items": items}}
        )
        container["volumeMounts"].append(_mount("api-keys", KEYS_DIR) | {"readOnly": True})
    return {
        "rayStartParams": {
            "num-cpus": "0",
            "object-store-memory": str(OBJECT_STORE_BYTES),
            "dashboard-host": "0.0.0.0",  # noqa: S104  # KubeRay calls it
        },
        "template": template,
    }


def _from_secret(name: str, secret: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name, "optional": True}}}


def _api_access() -> Object:
    """Return what Kubernetes would mount into every container, to be mounted into the autoscaler's alone."""
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
    authority = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    return {"name": "api-access", "projected": {"sources": [token, authority]}}


def _autoscaler() -> Object:
    """Return how KubeRay's sidecar runs that adds and removes workers as replicas want them."""
    return {
        "version": "v2",
        "idleTimeoutSeconds": IDLE_SECONDS,
        "resources": AUTOSCALER_RESOURCES,
        "securityContext": container_security(),
        "env": [{"name": "HOME", "value": SCRATCH_DIR}],
        "volumeMounts": [_mount("tmp", SCRATCH_DIR), _mount("api-access", API_ACCESS_DIR) | {"readOnly": True}],
    }


def _worker_resources(model: VoiceModel) -> Object:
    replica = model.spec.serving.replica
    requests: Object = {"cpu": f"{round(1000 * (replica.cpu + PROXY_CPU))}m", "memory": replica.memory}
    limits: Object = {"memory": replica.memory}
    if replica.gpu:
        requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = str(replica.gpu)
    return {"requests": requests, "limits": limits}


def _workers(model: VoiceModel, images: Images) -> Object:
    """Return the group of workers. Its name and place are known to who patches the bounds of a running cluster."""
    least, most = worker_bounds(model)
    container = _container(model, images, "ray-worker", WORKER_PORTS, _worker_resources(model))
    volumes, mounts = storage_volumes(model.spec.storage)
    access = storage_env(model.spec.storage)
    container["env"] += [variable for variable in access.pop("env") if variable["name"] != "HOME"]
    container["volumeMounts"] += mounts
    leave = ["python", "-m", "kubevoice_serving.routing.drain", str(LEAVE_SECONDS)]
    container |= access | {"lifecycle": {"preStop": {"exec": {"command": leave}}}}
    template = _template(model, images, container)
    template["spec"]["volumes"] += volumes
    template["spec"]["terminationGracePeriodSeconds"] = LEAVE_SECONDS + STOP_SECONDS
    # As process 1 of its container, the shell in which KubeRay waits for the head would take no notice of SIGTERM, and
    # a worker deleted before it started would stay for all of that time.
    template["spec"]["shareProcessNamespace"] = True
    return {
        "groupName": WORKERS,
        "replicas": max(1, least),
        "minReplicas": least,
        "maxReplicas": most,
        "rayStartParams": {
            "num-cpus": str(replica_cpus(model)),
            "object-store-memory": str(OBJECT_STORE_BYTES),
        },
        "template": template,
    }


def render_rayservice(model: VoiceModel, traffic: Traffic, images: Images) -> Object:
    """Render the RayService that divides requests as `traffic` says; the same bytes for the same arguments."""
    cluster: Object = {
        "rayVersion": RAY_VERSION,
        # Also where there is nothing to scale now: switched on later, it would need another cluster.
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": _autoscaler(),
        "headGroupSpec": _head(model, images),
        "workerGroupSpecs": [_workers(model, images)],
    }
    spec: Object = {
        "serveConfigV2": yaml.safe_dump(serve_config(model, traffic), sort_keys=True),
        # The HTTP side is on the head, so its proxy is the shortest way, and the only one while there is no worker.
        "excludeHeadPodFromServeSvc": False,
        "rayClusterDeletionDelaySeconds": FINISH_SECONDS,
        "rayClusterConfig": cluster,
    }
    return voice_object(model, "ray.io/v1", "RayService", spec)
