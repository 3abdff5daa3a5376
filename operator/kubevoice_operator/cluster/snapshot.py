"""Converts Jobs and exposure objects, as the API server sent them, into parts of the ObservedState. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kubevoice.resources.conditions import Reason
from kubevoice.resources.stages import Progress, Stage, StageFailure
from pydantic import ValidationError

from kubevoice_operator.cluster.cache import Children
from kubevoice_operator.cluster.pod_issues import find_first_issue, find_termination, parse_timestamp
from kubevoice_operator.observed_state import (
    JobPhase,
    ObservedExposure,
    ObservedJob,
    PodIssue,
)
from kubevoice_operator.render.job import BAD_INPUT, CONTAINER
from kubevoice_operator.render.names import (
    HASH_ANNOTATION,
    RESULT_ANNOTATION,
    STAGE_LABEL,
    TEMPLATE_HASH_ANNOTATION,
)

__all__ = ["is_running", "observe_exposure", "observe_jobs", "unrecorded_results"]

Object = Mapping[str, Any]
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
EXPOSURE = ("NetworkPolicy", "Ingress", "HTTPRoute")
"""Kinds of exposure objects."""


def is_running(job: Object) -> bool:
    """Return whether a Job has begun and not ended.

    Parameters
    ----------
    job
        The Job as the API server sent it.

    Returns
    -------
    bool
        False too for a Job that is suspended.
    """
    return _phase(job)[0] is JobPhase.RUNNING


def _job_pods(children: Children, job: str) -> list[Object]:
    """Return the pods of a Job, the newest first."""
    pods = [p for p in children.pods.values() if p["metadata"].get("labels", {}).get(JOB_NAME_LABEL) == job]
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)


def _phase(job: Object) -> tuple[JobPhase, str, datetime | None]:
    """Return a Job's phase, the reason of its final condition, and when it ended."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            phase = JobPhase.SUCCEEDED if condition["type"] == "Complete" else JobPhase.FAILED
            return phase, condition.get("reason", ""), parse_timestamp(condition.get("lastTransitionTime"))
    return (JobPhase.QUEUED if job["spec"].get("suspend") else JobPhase.RUNNING), "", None


def _stage(job: Object) -> Stage | None:
    try:
        return Stage(job["metadata"].get("labels", {}).get(STAGE_LABEL, ""))
    except ValueError:
        return None


def _find_retry(job: Object, pods: Sequence[Object]) -> PodIssue | None:
    """Return why the newest pod ended while Kubernetes waits to start another; None if it does not."""
    if len(pods) > job["spec"].get("backoffLimit", len(pods)):
        return None
    for pod in pods:
        end = find_termination(pod, CONTAINER)
        if end is None or pod["metadata"].get("deletionTimestamp"):
            return None
        if end.get("exitCode") in (0, BAD_INPUT):
            return None
        name = pod["metadata"]["name"]
        if end.get("reason") == "OOMKilled":
            return PodIssue(Reason.OUT_OF_MEMORY, "it exceeded its memory limit; another pod will try again", name)
        cause = f"it ended with {end.get('exitCode')}{_own_message(end)}"
        return PodIssue(Reason.RETRYING, f"{cause}; another pod will try again", name)
    return None


def _own_message(end: Object) -> str:
    """Return what a stage said when it ended, after a colon; empty if it said nothing."""
    try:
        return f": {StageFailure.model_validate_json(end.get('message') or '').message}"
    except ValidationError:
        return ""


def _group_by_index(pods: Sequence[Object]) -> list[list[Object]]:
    """Group pods by completion index; the first group is that of rank 0, which reports progress."""
    groups: dict[int, list[Object]] = {}
    for pod in pods:
        groups.setdefault(int(pod["metadata"].get("labels", {}).get(INDEX_LABEL, 0)), []).append(pod)
    return [groups[index] for index in sorted(groups)]


def _find_cause(pods: Sequence[Sequence[Object]]) -> Object:
    """Return the termination that explains how the last attempt ended.

    In distributed training all pods end together. Bad input or an OOM kill of any of them is the cause; otherwise the
    first failure is, since the others only lost their peer.
    """
    ends = [
        next((end for end in (find_termination(pod, CONTAINER) for pod in same) if end is not None), None)
        for same in pods
    ]

    def rank(end: Object) -> tuple[int, str]:
        if end.get("exitCode") == BAD_INPUT:
            return 0, ""
        if end.get("reason") == "OOMKilled":
            return 1, ""
        return (2, end.get("finishedAt") or "") if end.get("exitCode") else (3, "")

    return min((end for end in ends if end is not None), key=rank, default={})


def _observe_job(
    job: Object, pods: list[Object], progress: Progress | None, creation_issue: PodIssue | None, now: datetime
) -> ObservedJob:
    phase, reason, finished = _phase(job)
    meta = job["metadata"]
    annotations = meta.get("annotations", {})
    groups = _group_by_index(pods)
    end = _find_cause(groups)
    first = groups[0][0] if groups else None
    pod_issue = None
    if phase is JobPhase.RUNNING:
        pod_issue = find_first_issue(pods, now) or creation_issue or _find_retry(job, pods)
    return ObservedJob(
        phase=phase,
        message=annotations.get(RESULT_ANNOTATION) or end.get("message", ""),
        exit_code=end.get("exitCode"),
        progress=progress,
        pod=first["metadata"]["name"] if first else None,
        address=first.get("status", {}).get("podIP") if first else None,
        reason="DeadlineExceeded" if reason == "DeadlineExceeded" else end.get("reason", ""),
        stage=_stage(job),
        template_hash=annotations.get(TEMPLATE_HASH_ANNOTATION, ""),
        deleting=bool(meta.get("deletionTimestamp")),
        finished_at=finished,
        pod_issue=pod_issue,
    )


def observe_jobs(
    children: Children, progress: Mapping[str, Progress], creation_issues: Mapping[str, PodIssue], now: datetime
) -> dict[str, ObservedJob]:
    """Read the state of every Job of a VoiceModel.

    Parameters
    ----------
    children
        The VoiceModel's objects.
    progress
        What running trainers reported, by Job.
    creation_issues
        Why Jobs have no pods, by Job.
    now
        Time of this reconciliation.

    Returns
    -------
    dict
        The Jobs by name.
    """
    return {
        name: _observe_job(job, _job_pods(children, name), progress.get(name), creation_issues.get(name), now)
        for name, job in children.jobs.items()
    }


def unrecorded_results(children: Children) -> dict[str, str]:
    """Find results that are only in a pod so far. A pod may disappear with its node.

    Parameters
    ----------
    children
        The VoiceModel's objects.

    Returns
    -------
    dict
        The termination message by Job.
    """
    results = {}
    for name, job in children.jobs.items():
        if _phase(job)[0] is not JobPhase.SUCCEEDED or RESULT_ANNOTATION in job["metadata"].get("annotations", {}):
            continue
        for pod in _job_pods(children, name):
            end = find_termination(pod, CONTAINER)
            if end is not None and end.get("exitCode") == 0 and end.get("message"):
                results[name] = end["message"]
                break
    return results


def observe_exposure(
    children: Children, name: str, exposure_errors: Mapping[str, tuple[Reason, str]]
) -> ObservedExposure:
    """Read which exposure objects of a VoiceModel exist.

    Parameters
    ----------
    children
        The VoiceModel's objects.
    name
        The VoiceModel's name, which its exposure objects have too.
    exposure_errors
        Why objects could not be applied, by kind.

    Returns
    -------
    ObservedExposure
        The hashes of what exists, and the errors.
    """
    metadata = {kind: children.by_kind(kind)[name]["metadata"] for kind in EXPOSURE if name in children.by_kind(kind)}
    applied = {
        kind: meta["annotations"][HASH_ANNOTATION]
        for kind, meta in metadata.items()
        if HASH_ANNOTATION in meta.get("annotations", {}) and not meta.get("deletionTimestamp")
    }
    return ObservedExposure(applied, exposure_errors)
