"""Finds what keeps a pod from running, from its status. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from kubevoice.resources.conditions import Reason

from kubevoice_operator.observed_state import PodIssue

__all__ = ["find_pod_issue", "find_termination", "parse_timestamp"]

Object = Mapping[str, Any]

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
