"""What keeps a pod from doing its work, read from its status. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from kubevoice.resources.conditions import Reason

from kubevoice_operator.observe import Trouble

__all__ = ["ended", "pod_trouble", "when"]

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
    Reason.POD_CONFIG_ERROR: "make what it names, in this namespace",
}
SLOW_START_SECONDS = 300
"""A pod on a node starts within this time; if not, a volume or the node's runtime keeps it."""


def when(text: str | None) -> datetime | None:
    """Return a Kubernetes timestamp."""
    return datetime.fromisoformat(text) if text else None


def _containers(pod: Object) -> Iterable[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def ended(pod: Object, container: str | None = None) -> Object | None:
    """Return how a pod's container (the first, unless named) ended, or None if it has not."""
    for status in pod.get("status", {}).get("containerStatuses", ()):
        if container in (None, status["name"]):
            found: Object | None = status.get("state", {}).get("terminated")
            return found
    return None


def _container_trouble(status: Object) -> tuple[Reason, str] | None:
    waiting = status.get("state", {}).get("waiting") or {}
    word = waiting.get("reason", "")
    if (reason := WAITING.get(word)) is None:
        return None
    said = waiting.get("message") or word
    last = status.get("lastState", {}).get("terminated") or {}
    if reason is Reason.POD_CRASHING and last.get("reason") == "OOMKilled":
        return Reason.OUT_OF_MEMORY, f"container {status['name']} used more memory than it may; raise its limit"
    if reason is Reason.POD_CRASHING and last:
        said = f"{said}; it ended with {last.get('exitCode')} ({last.get('reason', 'no reason given')})"
    if reason is Reason.IMAGE_PULL_FAILED:
        said = f"cannot pull image {status.get('image') or ''}: {said}"
    return reason, f"{said}; {ADVICE[reason]}" if reason in ADVICE else said


def pod_trouble(pod: Object, now: datetime) -> Trouble | None:
    """Return what keeps a pod from running; None if it runs, has ended, or is only just starting."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    for container in _containers(pod):
        if (found := _container_trouble(container)) is not None:
            return Trouble(found[0], found[1], name)
    for condition in status.get("conditions", ()):
        if condition["type"] != "PodScheduled":
            continue
        if condition["status"] == "False" and condition.get("reason") == "Unschedulable":
            return Trouble(Reason.UNSCHEDULABLE, condition.get("message", "no node has room"), name)
        since = when(condition.get("lastTransitionTime"))
        slow = since is not None and (now - since).total_seconds() > SLOW_START_SECONDS
        if condition["status"] == "True" and slow and status.get("phase") == "Pending":
            message = f"it has not started for {SLOW_START_SECONDS} s; see kubectl describe pod {name}"
            return Trouble(Reason.POD_CONFIG_ERROR, message, name)
    return None
