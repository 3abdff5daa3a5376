"""Renders the Job of a stage."""

from typing import Any

from kubevoice.resources.stages import Stage, spec_key
from kubevoice.resources.voicemodel import VoiceModel
from pydantic import BaseModel

from kubevoice_operator.render.names import (
    KEY_LABEL,
    REFRESH_ANNOTATION,
    RESULT_FILE,
    SPEC_ANNOTATION,
    SPEC_DIR,
    TELEMETRY_PORT,
    TEMPLATE_HASH_ANNOTATION,
    WORK_DIR,
    Images,
    content_hash,
    labels,
    owner_references,
)
from kubevoice_operator.render.pod import (
    container_security,
    placement,
    pod_security,
    pull_secrets,
    storage_env,
    storage_volumes,
)

__all__ = ["BAD_INPUT", "CONTAINER", "QUEUE_LABEL", "pod_template_hash", "render_job"]

BAD_INPUT, STOPPED = 2, 143
CONTAINER = "stage"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
DEFAULT_RESOURCES = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}
"""Resources of prepare and release, and of training where the spec names none."""
OMP_PASSIVE_ENV = {"name": "OMP_WAIT_POLICY", "value": "PASSIVE"}
"""Torch's threads sleep while they wait. Spinning threads would use up the pod's CPU quota."""
GRACE_SECONDS = 120
"""Time to upload the last checkpoint after SIGTERM."""


def pod_template_hash(model: VoiceModel, stage: Stage) -> str:
    """Return a hash of what the spec says about the pods of a stage: image, resources, placement, storage, queue.

    A Job cannot be changed, so an unfinished one is recreated when this hash changes. Its work is kept under the
    stage's cache key. The refresh annotation is part of the hash, so a user can ask for a retry with it.

    Parameters
    ----------
    model
        The VoiceModel.
    stage
        The stage.

    Returns
    -------
    str
        16 hex digits.
    """
    training, storage = model.spec.training, model.spec.storage
    template: dict[str, Any] = {
        "image": training.image,
        "placement": placement(training),
        "queue": training.queue_name,
        "priority": training.priority_class_name,
        "deadline": training.active_deadline_seconds,
        "storage": storage.model_dump(mode="json"),
        "resources": _build_resources(model, stage),
        "nodes": _node_count(model, stage),
        "refresh": model.metadata.annotations.get(REFRESH_ANNOTATION, ""),
    }
    return content_hash(template)


def _node_count(model: VoiceModel, stage: Stage) -> int:
    return model.spec.training.nodes if stage is Stage.TRAIN else 1


def _build_distributed_env(model: VoiceModel, stage: Stage) -> list[dict[str, Any]]:
    """Return the environment of distributed training; Kubernetes adds JOB_COMPLETION_INDEX, which is the node rank.

    The rendezvous is in the storage that all pods write to, so no Service is needed.
    """
    env: list[dict[str, Any]] = []
    if stage is Stage.TRAIN and (gpus := model.spec.training.gpus_per_node) > 1:
        env.append({"name": "KUBEVOICE_PROCESSES", "value": str(gpus)})
    if (nodes := _node_count(model, stage)) > 1:
        env.append({"name": "KUBEVOICE_NODES", "value": str(nodes)})
        env.append({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    return env


def _build_resources(model: VoiceModel, stage: Stage) -> dict[str, Any]:
    training = model.spec.training
    if stage is not Stage.TRAIN:
        return DEFAULT_RESOURCES
    resources: dict[str, Any] = {
        name: dict(values) for name, values in (training.resources or DEFAULT_RESOURCES).items()
    }
    if training.gpus_per_node:
        resources.setdefault("limits", {}).setdefault("nvidia.com/gpu", str(training.gpus_per_node))
    return resources


def _build_container(model: VoiceModel, stage: Stage, images: Images, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    environment = storage_env(model.spec.storage)
    environment["env"] += [OMP_PASSIVE_ENV, *_build_distributed_env(model, stage)]
    return {
        "name": CONTAINER,
        "image": model.spec.training.image or images.training,
        "command": ["python", "-m", "kubevoice_training", str(stage)],
        "args": [
            *("--spec", f"{SPEC_DIR}/spec.json", "--workdir", WORK_DIR, "--result", RESULT_FILE),
            *("--listen", str(TELEMETRY_PORT)),
        ],
        "ports": [{"name": "telemetry", "containerPort": TELEMETRY_PORT}],
        **environment,
        "resources": _build_resources(model, stage),
        "volumeMounts": mounts,
        "terminationMessagePath": RESULT_FILE,
        "terminationMessagePolicy": "File",
        "securityContext": container_security(),
    }


def _build_pod(model: VoiceModel, stage: Stage, images: Images) -> dict[str, Any]:
    training = model.spec.training
    ca_volumes, ca_mounts = storage_volumes(model.spec.storage)
    mounts: list[dict[str, Any]] = [
        {"name": "spec", "mountPath": SPEC_DIR, "readOnly": True},
        {"name": "workspace", "mountPath": WORK_DIR},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # inside the container
        *ca_mounts,
    ]
    annotation = f"metadata.annotations['{SPEC_ANNOTATION}']"
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        # As process 1 of its container, a stage that is still importing would ignore SIGTERM.
        "shareProcessNamespace": True,
        "securityContext": pod_security(),
        "containers": [_build_container(model, stage, images, mounts)],
        "volumes": [
            {"name": "spec", "downwardAPI": {"items": [{"path": "spec.json", "fieldRef": {"fieldPath": annotation}}]}},
            {"name": "workspace", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            *ca_volumes,
        ],
        **placement(training),
        **pull_secrets(images),
    }
    if training.priority_class_name:
        pod["priorityClassName"] = training.priority_class_name
    return pod


def _render_parallelism(nodes: int, backoff_limit: int) -> dict[str, Any]:
    """Return the parallelism of a Job and its pod failure policy.

    In distributed training all processes end together: one that fails or is stopped ends the others. Those exits are
    not counted as failures.
    """
    # Bad input is not retried. A drained node does not count as a failure.
    rules: list[dict[str, Any]] = [
        {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [BAD_INPUT]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    if nodes == 1:
        return {"backoffLimit": backoff_limit, "podFailurePolicy": {"rules": rules}}
    stopped = {"containerName": CONTAINER, "operator": "In", "values": [STOPPED]}
    return {
        "completionMode": "Indexed",
        "completions": nodes,
        "parallelism": nodes,
        "backoffLimit": backoff_limit * nodes,
        "podFailurePolicy": {"rules": [*rules, {"action": "Ignore", "onExitCodes": stopped}]},
    }


def render_job(model: VoiceModel, stage: Stage, spec: BaseModel, name: str, images: Images) -> dict[str, Any]:
    """Render the Job of a stage.

    Parameters
    ----------
    model
        The VoiceModel that owns the Job.
    stage
        The stage to run.
    spec
        The stage's spec. It is a pod annotation, mounted as a file, so that no ConfigMap is needed.
    name
        The Job's name.
    images
        Images used where the VoiceModel names none.

    Returns
    -------
    dict
        The object, the same for the same arguments.
    """
    training = model.spec.training
    pod_labels = labels(model, stage)
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": model.metadata.namespace,
        "labels": pod_labels
        | {KEY_LABEL: spec_key(stage, spec)}
        | ({QUEUE_LABEL: training.queue_name} if training.queue_name else {}),
        "annotations": {TEMPLATE_HASH_ANNOTATION: pod_template_hash(model, stage)},
    }
    if owners := owner_references(model):
        metadata["ownerReferences"] = owners
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            # Kueue admits by unsetting this.
            **({"suspend": True} if training.queue_name else {}),
            "activeDeadlineSeconds": training.active_deadline_seconds,
            # Two pods must not write one checkpoint, so a replacement starts only when the old pod is gone.
            "podReplacementPolicy": "Failed",
            **_render_parallelism(_node_count(model, stage), training.backoff_limit),
            "template": {
                "metadata": {
                    "labels": pod_labels,
                    "annotations": {SPEC_ANNOTATION: spec.model_dump_json(by_alias=True)},
                },
                "spec": _build_pod(model, stage, images),
            },
        },
    }
