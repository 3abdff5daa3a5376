"""From what the API server sent to what `plan` decides on. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubevoice.resources.conditions import Reason
from kubevoice.resources.stages import Progress, Stage

from kubevoice_operator.cluster.cache import Children
from kubevoice_operator.cluster.trouble import ended, pod_trouble, when
from kubevoice_operator.observe import (
    ExposureObservation,
    JobObservation,
    JobPhase,
    ReplicaObservation,
    ServiceObservation,
    TrackTraffic,
    Trouble,
)
from kubevoice_operator.render.job import BAD_INPUT, CONTAINER
from kubevoice_operator.render.names import (
    HASH_ANNOTATION,
    RESULT_ANNOTATION,
    SHAPE_ANNOTATION,
    STAGE_LABEL,
)
from kubevoice_operator.render.serving import APPLICATION, CANARY_APPLICATION

__all__ = ["DataPlane", "exposure", "jobs", "service", "unrecorded"]

Object = Mapping[str, Any]
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
RAY_LABEL, CLUSTER_LABEL = "ray.io/node-type", "ray.io/cluster"
EXPOSURE = ("NetworkPolicy", "Ingress", "HTTPRoute")
"""Kinds by which a voice is reached, or not."""


@dataclass(frozen=True, slots=True)
class DataPlane:
    """What the replicas say over HTTP."""

    replicas: tuple[ReplicaObservation, ...] = ()
    traffic: Mapping[str, TrackTraffic] | None = None
    answered: bool = False


def _job_pods(children: Children, job: str) -> list[Object]:
    """Return the pods of a Job, the newest first."""
    found = [p for p in children.pods.values() if p["metadata"].get("labels", {}).get(JOB_NAME_LABEL) == job]
    return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)


def _phase(job: Object) -> tuple[JobPhase, str, datetime | None]:
    """Return a Job's phase, Kubernetes' word for why, and when it ended."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            phase = JobPhase.SUCCEEDED if condition["type"] == "Complete" else JobPhase.FAILED
            return phase, condition.get("reason", ""), when(condition.get("lastTransitionTime"))
    return (JobPhase.QUEUED if job["spec"].get("suspend") else JobPhase.RUNNING), "", None


def _stage(job: Object) -> Stage | None:
    try:
        return Stage(job["metadata"].get("labels", {}).get(STAGE_LABEL, ""))
    except ValueError:
        return None


def _retrying(job: Object, pods: Sequence[Object]) -> Trouble | None:
    """Return why the newest pod ended, while Kubernetes waits before it starts another; None if it will not."""
    if len(pods) > job["spec"].get("backoffLimit", len(pods)):
        return None
    for pod in pods:
        end = ended(pod, CONTAINER)
        if end is None or pod["metadata"].get("deletionTimestamp"):
            return None
        if end.get("exitCode") in (0, BAD_INPUT):
            return None
        name = pod["metadata"]["name"]
        if end.get("reason") == "OOMKilled":
            return Trouble(Reason.OUT_OF_MEMORY, "it used more memory than it may; another pod will try again", name)
        return Trouble(Reason.RETRYING, f"it ended with {end.get('exitCode')}; another pod will try again", name)
    return None


def _by_index(pods: Sequence[Object]) -> list[list[Object]]:
    """Return the pods of each completion index, that of the process which tells the progress first."""
    found: dict[int, list[Object]] = {}
    for pod in pods:
        found.setdefault(int(pod["metadata"].get("labels", {}).get(INDEX_LABEL, 0)), []).append(pod)
    return [found[index] for index in sorted(found)]


def _end(pods: Sequence[Sequence[Object]]) -> Object:
    """Return how the last attempt ended.

    Pods that train together end together: what one of them says of the input or of its memory is the cause, and
    after that what the first said, for the others only miss it.
    """
    ends = [next((end for end in (ended(pod, CONTAINER) for pod in same) if end is not None), None) for same in pods]

    def telling(end: Object) -> tuple[int, str]:
        if end.get("exitCode") == BAD_INPUT:
            return 0, ""
        if end.get("reason") == "OOMKilled":
            return 1, ""
        return (2, end.get("finishedAt") or "") if end.get("exitCode") else (3, "")

    return min((end for end in ends if end is not None), key=telling, default={})


def _observed(job: Object, pods: list[Object], progress: Progress | None, now: datetime) -> JobObservation:
    phase, reason, finished = _phase(job)
    meta = job["metadata"]
    annotations = meta.get("annotations", {})
    together = _by_index(pods)
    end = _end(together)
    first = together[0][0] if together else None
    trouble = None
    if phase is JobPhase.RUNNING:
        trouble = next((t for t in (pod_trouble(pod, now) for pod in pods) if t is not None), None) or _retrying(
            job, pods
        )
    return JobObservation(
        phase=phase,
        message=annotations.get(RESULT_ANNOTATION) or end.get("message", ""),
        exit_code=end.get("exitCode"),
        progress=progress,
        pod=first["metadata"]["name"] if first else None,
        address=first.get("status", {}).get("podIP") if first else None,
        reason="DeadlineExceeded" if reason == "DeadlineExceeded" else end.get("reason", ""),
        stage=_stage(job),
        shape=annotations.get(SHAPE_ANNOTATION, ""),
        deleting=bool(meta.get("deletionTimestamp")),
        finished_at=finished,
        trouble=trouble,
    )


def jobs(children: Children, progress: Mapping[str, Progress], now: datetime) -> dict[str, JobObservation]:
    """Return every Job of a VoiceModel; `progress` is what running ones said, by Job."""
    return {
        name: _observed(job, _job_pods(children, name), progress.get(name), now) for name, job in children.jobs.items()
    }


def unrecorded(children: Children) -> dict[str, str]:
    """Return answers of Jobs that stand in a pod only, by Job: the pod may go with its node."""
    found = {}
    for name, job in children.jobs.items():
        if _phase(job)[0] is not JobPhase.SUCCEEDED or RESULT_ANNOTATION in job["metadata"].get("annotations", {}):
            continue
        for pod in _job_pods(children, name):
            end = ended(pod, CONTAINER)
            if end is not None and end.get("exitCode") == 0 and end.get("message"):
                found[name] = end["message"]
                break
    return found


def _bounds(cluster: Object | None) -> tuple[int, int] | None:
    groups = (cluster or {}).get("spec", {}).get("workerGroupSpecs", ())
    return (int(groups[0].get("minReplicas", 0)), int(groups[0].get("maxReplicas", 0))) if groups else None


def _is_worker(pod: Object, cluster: str | None) -> bool:
    labels = pod["metadata"].get("labels", {})
    return bool(labels.get(RAY_LABEL) == "worker" and labels.get(CLUSTER_LABEL) == cluster)


def _application_error(status: Object, application: str) -> str | None:
    """Return Ray Serve's complaint about an application, if it has given up."""
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        found = status.get(part, {}).get("applicationStatuses", {}).get(application, {})
        if found.get("status") in ("DEPLOY_FAILED", "UNHEALTHY"):
            messages = [found.get("message", "")]
            messages += [d.get("message", "") for d in found.get("serveDeploymentStatuses", {}).values()]
            lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
            telling = [line for line in lines if "Error" in line] or lines or [found["status"]]
            return f"Ray Serve: {telling[-1][:400]}"
    return None


def _settled(raw: Object) -> bool:
    """Tell whether KubeRay has seen what was applied, and prepares no other cluster for it."""
    status = raw.get("status", {})
    seen = status.get("observedGeneration", raw["metadata"].get("generation"))
    pending = status.get("pendingServiceStatus", {}).get("rayClusterName")
    return bool(seen == raw["metadata"].get("generation") and not pending)


def service(children: Children, name: str, url: str, data: DataPlane, now: datetime) -> ServiceObservation | None:
    """Return the RayService of a VoiceModel; None if there is none, or it is on its way out."""
    raw = children.services.get(name)
    if raw is None or raw["metadata"].get("deletionTimestamp"):
        return None
    status = raw.get("status", {})
    cluster = status.get("activeServiceStatus", {}).get("rayClusterName")
    pods = [pod for pod in children.pods.values() if RAY_LABEL in pod["metadata"].get("labels", {})]
    return ServiceObservation(
        applied=raw["metadata"].get("annotations", {}).get(HASH_ANNOTATION, ""),
        url=url,
        replicas=data.replicas,
        error=_application_error(status, APPLICATION),
        canary_error=_application_error(status, CANARY_APPLICATION),
        traffic=data.traffic or {},
        answers=data.answered,
        cluster=cluster,
        bounds=_bounds(children.clusters.get(cluster)) if cluster else None,
        workers=sum(_is_worker(pod, cluster) for pod in pods),
        settled=_settled(raw),
        trouble=next((t for t in (pod_trouble(pod, now) for pod in pods) if t is not None), None),
    )


def exposure(children: Children, name: str, hindered: Mapping[str, tuple[Reason, str]]) -> ExposureObservation:
    """Return the NetworkPolicy, Ingress and HTTPRoute of a VoiceModel that stay; `hindered` says why one cannot be."""
    found = {kind: children.of(kind)[name]["metadata"] for kind in EXPOSURE if name in children.of(kind)}
    applied = {
        kind: meta["annotations"][HASH_ANNOTATION]
        for kind, meta in found.items()
        if HASH_ANNOTATION in meta.get("annotations", {}) and not meta.get("deletionTimestamp")
    }
    return ExposureObservation(applied, hindered)
