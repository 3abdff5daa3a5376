"""A stage as a Job."""

from typing import Any

from kubevoice.resources.stages import Stage, spec_key
from kubevoice.resources.voicemodel import VoiceModel
from pydantic import BaseModel

from kubevoice_operator.render.names import (
    KEY_LABEL,
    REFRESH_ANNOTATION,
    RESULT_FILE,
    SHAPE_ANNOTATION,
    SPEC_ANNOTATION,
    SPEC_DIR,
    TELEMETRY_PORT,
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

__all__ = ["BAD_INPUT", "CONTAINER", "QUEUE_LABEL", "render_job", "shape"]

BAD_INPUT, STOPPED = 2, 143
CONTAINER = "stage"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
SMALL = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}
"""What prepare and release take; training's own resources are the user's."""
PATIENT = {"name": "OMP_WAIT_POLICY", "value": "PASSIVE"}
"""Torch's threads sleep while they wait: if they spin, they take cores, or the pod's CPU time, from those that work."""
GRACE_SECONDS = 120
"""Time for a trainer that is stopped to upload its last checkpoint."""


def shape(model: VoiceModel, stage: Stage) -> str:
    """Return the hash of what the user says about where and how a stage's pods run.

    A Job cannot be changed, so one that is not done is made anew when this changes; its work is kept, for that
    is named by the stage's key. The refresh annotation counts too: it is how a user says "try again".
    """
    training, storage = model.spec.training, model.spec.storage
    said: dict[str, Any] = {
        "image": training.image,
        "placement": placement(training),
        "queue": training.queue_name,
        "priority": training.priority_class_name,
        "deadline": training.active_deadline_seconds,
        "storage": storage.model_dump(mode="json"),
        "resources": _resources(model, stage),
        "nodes": _nodes(model, stage),
        "refresh": model.metadata.annotations.get(REFRESH_ANNOTATION, ""),
    }
    return content_hash(said)


def _nodes(model: VoiceModel, stage: Stage) -> int:
    return model.spec.training.nodes if stage is Stage.TRAIN else 1


def _company(model: VoiceModel, stage: Stage) -> list[dict[str, Any]]:
    """Return the environment that tells a trainer of the others; Kubernetes adds JOB_COMPLETION_INDEX.

    Pods find each other through the storage that all of them write to, so that no Service is needed.
    """
    found: list[dict[str, Any]] = []
    if stage is Stage.TRAIN and (gpus := model.spec.training.gpus_per_node) > 1:
        found.append({"name": "KUBEVOICE_PROCESSES", "value": str(gpus)})
    if (nodes := _nodes(model, stage)) > 1:
        found.append({"name": "KUBEVOICE_NODES", "value": str(nodes)})
        found.append({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    return found


def _resources(model: VoiceModel, stage: Stage) -> dict[str, Any]:
    training = model.spec.training
    if stage is not Stage.TRAIN:
        return SMALL
    found: dict[str, Any] = {name: dict(values) for name, values in (training.resources or SMALL).items()}
    if training.gpus_per_node:
        found.setdefault("limits", {}).setdefault("nvidia.com/gpu", str(training.gpus_per_node))
    return found


def _container(model: VoiceModel, stage: Stage, images: Images, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    environment = storage_env(model.spec.storage)
    environment["env"] += [PATIENT, *_company(model, stage)]
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
        "resources": _resources(model, stage),
        "volumeMounts": mounts,
        "terminationMessagePath": RESULT_FILE,
        "terminationMessagePolicy": "File",
        "securityContext": container_security(),
    }


def _pod(model: VoiceModel, stage: Stage, images: Images) -> dict[str, Any]:
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
        # As process 1 of its container, a stage that is still importing would take no notice of SIGTERM.
        "shareProcessNamespace": True,
        "securityContext": pod_security(),
        "containers": [_container(model, stage, images, mounts)],
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


def _pods(nodes: int, backoff_limit: int) -> dict[str, Any]:
    """Return how many pods a Job has, and what their failures mean.

    Pods that train together end together: one that fails takes the others along, and one that is stopped or drained
    stops them, which is no failure of theirs.
    """
    # Bad input stays bad, so it is not tried again; a node that is drained is no failure of ours.
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
    """Render the Job of a stage. Its spec travels as a pod annotation, so that no other object is needed."""
    training = model.spec.training
    marks = labels(model, stage)
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": model.metadata.namespace,
        "labels": marks
        | {KEY_LABEL: spec_key(stage, spec)}
        | ({QUEUE_LABEL: training.queue_name} if training.queue_name else {}),
        "annotations": {SHAPE_ANNOTATION: shape(model, stage)},
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
            # Two trainers must not write one checkpoint: the next pod starts when the one before is gone.
            "podReplacementPolicy": "Failed",
            **_pods(_nodes(model, stage), training.backoff_limit),
            "template": {
                "metadata": {
                    "labels": marks,
                    "annotations": {SPEC_ANNOTATION: spec.model_dump_json(by_alias=True)},
                },
                "spec": _pod(model, stage, images),
            },
        },
    }
