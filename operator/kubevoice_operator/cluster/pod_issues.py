"""Finds what keeps a pod from running and why one ended, from its status. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kubevoice.resources.conditions import Reason

from kubevoice_operator.observed_state import PodIssue

__all__ = [
    "CLUSTER_LABEL",
    "Failure",
    "find_failure",
    "find_first_issue",
    "find_pod_issue",
    "find_termination",
    "parse_timestamp",
]

Object = Mapping[str, Any]
CLUSTER_LABEL = "ray.io/cluster"

WAITING = {
    "ErrImagePull": Reason.IMAGE_PULL_FAILED,
    "ImagePullBackOff": Reason.IMAGE_PULL_FAILED,
    "InvalidImageName": Reason.IMAGE_PULL_FAILED,
    "ErrImageNeverPull": Reason.IMAGE_PULL_FAILED,
    "CreateContainerConfigError": Reason.POD_CONFIG_ERROR,
    "CreateContainerError": Reason.POD_CONFIG_ERROR,
    "RunContainerError": Reason.POD_CONFIG_ERROR,
    "CrashLoopBackOff": Reason.POD_CRASHING,
}
ADVICE = {
    Reason.IMAGE_PULL_FAILED: "check the image's name, and that the node may pull it",
    Reason.POD_CONFIG_ERROR: "create what it names, in this namespace",
}
SLOW_START_SECONDS = 300
"""A scheduled pod that is pending for longer has a problem with a volume or the node's runtime."""


def parse_timestamp(text: str | None) -> datetime | None:
    """Parse a Kubernetes timestamp; None if there is none.

    Parameters
    ----------
    text
        RFC 3339, as Kubernetes writes it.

    Returns
    -------
    datetime or None
        With its time zone.
    """
    return datetime.fromisoformat(text) if text else None


def _containers(pod: Object) -> Iterable[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def find_termination(pod: Object, container: str | None = None) -> Object | None:
    """Return the terminated state of a pod's container (the first, unless named); None if it has not ended.

    Parameters
    ----------
    pod
        The pod.
    container
        Name of the container; None for the first.

    Returns
    -------
    dict or None
        The container's `terminated` state.
    """
    for status in pod.get("status", {}).get("containerStatuses", ()):
        if container in (None, status["name"]):
            terminated: Object | None = status.get("state", {}).get("terminated")
            return terminated
    return None


def _find_container_issue(status: Object) -> tuple[Reason, str] | None:
    waiting = status.get("state", {}).get("waiting") or {}
    kubelet_reason = waiting.get("reason", "")
    if (reason := WAITING.get(kubelet_reason)) is None:
        return None
    message = waiting.get("message") or kubelet_reason
    last = status.get("lastState", {}).get("terminated") or {}
    if reason is Reason.POD_CRASHING and last.get("reason") == "OOMKilled":
        return Reason.OUT_OF_MEMORY, f"container {status['name']} exceeded its memory limit; raise it"
    if reason is Reason.POD_CRASHING and last:
        message = f"{message}; it ended with {last.get('exitCode')} ({last.get('reason', 'no reason given')})"
    if reason is Reason.IMAGE_PULL_FAILED:
        message = f"cannot pull image {status.get('image') or ''}: {message}"
    return reason, f"{message}; {ADVICE[reason]}" if reason in ADVICE else message


def find_pod_issue(pod: Object, now: datetime) -> PodIssue | None:
    """Find what keeps a pod from running.

    Parameters
    ----------
    pod
        The pod as the API server sent it.
    now
        The current time, to see whether it has been starting for too long.

    Returns
    -------
    PodIssue or None
        None if the pod runs, has ended, is being deleted, or has only just been created.
    """
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    for container in _containers(pod):
        if (issue := _find_container_issue(container)) is not None:
            return PodIssue(*issue, name)
    for condition in status.get("conditions", ()):
        if condition["type"] != "PodScheduled":
            continue
        if condition["status"] == "False" and condition.get("reason") == "Unschedulable":
            return PodIssue(Reason.UNSCHEDULABLE, condition.get("message", "no node has room"), name)
        since = parse_timestamp(condition.get("lastTransitionTime"))
        slow = since is not None and (now - since).total_seconds() > SLOW_START_SECONDS
        if condition["status"] == "True" and slow and status.get("phase") == "Pending":
            message = f"it has not started for {SLOW_START_SECONDS} s; see kubectl describe pod {name}"
            return PodIssue(Reason.POD_CONFIG_ERROR, message, name)
    return None


def find_first_issue(pods: Iterable[Object], now: datetime) -> PodIssue | None:
    """Find what keeps the first of several pods from running that does not.

    Parameters
    ----------
    pods
        The pods as the API server sent them.
    now
        The current time.

    Returns
    -------
    PodIssue or None
        None if nothing keeps any of them from running.
    """
    return next((issue for pod in pods if (issue := find_pod_issue(pod, now)) is not None), None)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a pod ended that should have run on."""

    reason: Reason
    message: str
    ended_at: str
    """RFC 3339; empty if Kubernetes does not say."""


def find_failure(pod: Object) -> Failure | None:
    """Find how a pod that should run on has ended: by a container, init containers included, or as a whole.

    Parameters
    ----------
    pod
        The pod as the API server sent it.

    Returns
    -------
    Failure or None
        None if nothing of it failed before it was asked to end.
    """
    for status in _containers(pod):
        for state in (status.get("state", {}), status.get("lastState", {})):
            end = state.get("terminated") or {}
            if end.get("exitCode") and not _was_asked_to_end(pod, end):
                return _container_failure(status["name"], end)
    status = pod.get("status", {})
    if status.get("phase") == "Failed" and not pod["metadata"].get("deletionTimestamp"):
        return Failure(Reason.POD_CRASHING, status.get("message") or status.get("reason") or "it failed", "")
    return None


def _container_failure(name: str, end: Object) -> Failure:
    ended_at = str(end.get("finishedAt") or "")
    if end.get("reason") == "OOMKilled":
        return Failure(Reason.OUT_OF_MEMORY, f"container {name} exceeded its memory limit; raise it", ended_at)
    detail = f"; {end['message'].strip()[-300:]}" if end.get("message") else ""
    reason = end.get("reason") or "no reason given"
    return Failure(Reason.POD_CRASHING, f"container {name} ended with {end['exitCode']} ({reason}){detail}", ended_at)


def _was_asked_to_end(pod: Object, end: Object) -> bool:
    """Return whether a container ended because its pod is being deleted. Nobody asks for an end by lack of memory."""
    meta = pod["metadata"]
    if end.get("reason") == "OOMKilled" or (deadline := parse_timestamp(meta.get("deletionTimestamp"))) is None:
        return False
    asked_at = deadline - timedelta(seconds=meta.get("deletionGracePeriodSeconds") or 0)
    ended_at = parse_timestamp(end.get("finishedAt"))
    return ended_at is None or ended_at >= asked_at
