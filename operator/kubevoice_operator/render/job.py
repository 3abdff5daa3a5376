"""A stage as a Job."""

from typing import Any

from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import VoiceModel
from pydantic import BaseModel

from kubevoice_operator.render.names import (
    RESULT_FILE,
    SPEC_ANNOTATION,
    SPEC_DIR,
    WORK_DIR,
    Images,
    labels,
    owner_references,
)
from kubevoice_operator.render.pod import container_security, placement, pod_security, storage_env, storage_volumes

__all__ = ["render_job"]

BAD_INPUT = 2
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
SMALL = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}
"""What prepare and release take; training's own resources are the user's."""


def _resources(model: VoiceModel, stage: Stage) -> dict[str, Any]:
    training = model.spec.training
    if stage is not Stage.TRAIN:
        return SMALL
    found: dict[str, Any] = {name: dict(values) for name, values in (training.resources or SMALL).items()}
    if training.gpus_per_node:
        found.setdefault("limits", {}).setdefault("nvidia.com/gpu", str(training.gpus_per_node))
    return found


def _container(model: VoiceModel, stage: Stage, images: Images, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "stage",
        "image": model.spec.training.image or images.training,
        "command": ["python", "-m", "kubevoice_training", str(stage)],
        "args": ["--spec", f"{SPEC_DIR}/spec.json", "--workdir", WORK_DIR, "--result", RESULT_FILE],
        **storage_env(model.spec.storage),
        "resources": _resources(model, stage),
        "volumeMounts": mounts,
        "terminationMessagePath": RESULT_FILE,
        "terminationMessagePolicy": "File",
        "securityContext": container_security(),
    }


def render_job(model: VoiceModel, stage: Stage, spec: BaseModel, name: str, images: Images) -> dict[str, Any]:
    """Render the Job of a stage. Its spec travels as a pod annotation, so that no other object is needed."""
    training = model.spec.training
    marks = labels(model, stage)
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
        "terminationGracePeriodSeconds": 120,
        "securityContext": pod_security(),
        "containers": [_container(model, stage, images, mounts)],
        "volumes": [
            {"name": "spec", "downwardAPI": {"items": [{"path": "spec.json", "fieldRef": {"fieldPath": annotation}}]}},
            {"name": "workspace", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            *ca_volumes,
        ],
        **placement(training),
    }
    if training.priority_class_name:
        pod["priorityClassName"] = training.priority_class_name
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": model.metadata.namespace,
        "labels": marks | ({QUEUE_LABEL: training.queue_name} if training.queue_name else {}),
    }
    if owners := owner_references(model):
        metadata["ownerReferences"] = owners
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": training.backoff_limit,
            "activeDeadlineSeconds": training.active_deadline_seconds,
            # Bad input stays bad, so it is not tried again; a node that is drained is no failure of ours.
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "stage", "operator": "In", "values": [BAD_INPUT]},
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {
                "metadata": {
                    "labels": marks,
                    "annotations": {SPEC_ANNOTATION: spec.model_dump_json(by_alias=True)},
                },
                "spec": pod,
            },
        },
    }
