"""Converts a RayService and its pods, as the API server sent them, into an ObservedService. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from kubevoice.resources.data_plane import RevisionsResponse

from kubevoice_operator.cluster.cache import Children
from kubevoice_operator.cluster.pod_failures import PodFailure
from kubevoice_operator.cluster.pod_issues import CLUSTER_LABEL, find_first_issue, parse_timestamp
from kubevoice_operator.observed_state import ObservedService, PodIssue
from kubevoice_operator.render.names import HASH_ANNOTATION
from kubevoice_operator.render.serve_config import APPLICATION, CANARY_APPLICATION
from kubevoice_operator.status_builder import human_duration

__all__ = ["find_blocked_deletion", "find_heads", "is_deleted", "observe_service", "wanted_clusters"]

Object = Mapping[str, Any]
RAY_LABEL = "ray.io/node-type"
FAILED_START = "failed to start"
"""In Ray Serve's message of a deployment whose replica raised when it was created."""
DELETION_SECONDS = 30.0
"""A deletion that takes longer is reported."""
REPEATED = 2
"""Pods that fail in a row; one alone is replaced and forgotten."""


def _bounds(cluster: Object | None) -> tuple[int, int] | None:
    groups = (cluster or {}).get("spec", {}).get("workerGroupSpecs", ())
    return (int(groups[0].get("minReplicas", 0)), int(groups[0].get("maxReplicas", 0))) if groups else None


def _list_pods(children: Children, kind: str, cluster: str | None) -> list[Object]:
    """Return the pods of a RayCluster that are of a kind: head or worker."""
    wanted = {RAY_LABEL: kind, CLUSTER_LABEL: cluster}.items()
    return [pod for pod in children.pods.values() if wanted <= pod["metadata"].get("labels", {}).items()]


def _get_active_cluster(service: Object) -> str | None:
    """Return the name of the RayCluster that serves; None if none does yet."""
    name: str | None = service.get("status", {}).get("activeServiceStatus", {}).get("rayClusterName")
    return name


def _clusters(status: Object) -> Iterator[Object]:
    """Iterate over what a RayService says of the cluster that serves and of the one that is prepared."""
    return (status.get(part, {}) for part in ("activeServiceStatus", "pendingServiceStatus"))


def _applications(status: Object, application: str) -> Iterator[Object]:
    """Iterate over the state of an application in both clusters."""
    return (cluster.get("applicationStatuses", {}).get(application, {}) for cluster in _clusters(status))


def _application_error(status: Object, application: str) -> str | None:
    """Return Ray Serve's error of an application that failed to deploy or is unhealthy; None otherwise."""
    for app in _applications(status, application):
        if app.get("status") in ("DEPLOY_FAILED", "UNHEALTHY"):
            messages = [app.get("message", "")]
            messages += [d.get("message", "") for d in app.get("serveDeploymentStatuses", {}).values()]
            return f"Ray Serve: {_last_error(messages) or app['status']}"
    return None


def _start_error(status: Object, application: str) -> str | None:
    """Return why a replica of an application could not start while Ray Serve tries again; None if none failed."""
    for app in _applications(status, application):
        # Also of a healthy deployment, which replaces a replica that was lost.
        messages = [d.get("message", "") for d in app.get("serveDeploymentStatuses", {}).values()]
        if failures := [message for message in messages if FAILED_START in message]:
            return _last_error(failures)
    return None


def _last_error(messages: Sequence[str]) -> str:
    """Return the last line that names an error, or else the last line; empty if there is none."""
    lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
    return ([line for line in lines if "Error" in line] or lines or [""])[-1][:400]


def _is_settled(raw: Object) -> bool:
    """Return whether KubeRay has observed what was applied and prepares no other cluster for it."""
    status = raw.get("status", {})
    observed = status.get("observedGeneration", raw["metadata"].get("generation"))
    pending = status.get("pendingServiceStatus", {}).get("rayClusterName")
    return bool(observed == raw["metadata"].get("generation") and not pending)


def is_deleted(children: Children, name: str) -> bool:
    """Return whether the RayService of a VoiceModel is deleted and still there.

    Parameters
    ----------
    children
        Objects that belong to the VoiceModel.
    name
        Its name, which the RayService has too.

    Returns
    -------
    bool
        Whether another of the name must wait.
    """
    return bool(children.services.get(name, {}).get("metadata", {}).get("deletionTimestamp"))


def find_blocked_deletion(children: Children, name: str, now: datetime) -> str | None:
    """Return what keeps a deleted RayService from going away.

    Parameters
    ----------
    children
        Objects that belong to the VoiceModel.
    name
        Its name, which the RayService has too.
    now
        The time.

    Returns
    -------
    str or None
        None if there is none, or it was deleted within the last DELETION_SECONDS.
    """
    meta = children.services.get(name, {}).get("metadata", {})
    deleted_at = parse_timestamp(meta.get("deletionTimestamp"))
    if deleted_at is None or (now - deleted_at).total_seconds() < DELETION_SECONDS:
        return None
    finalizers = ", ".join(meta.get("finalizers", ())) or "none"
    return (
        f"RayService {name} was deleted {human_duration((now - deleted_at).total_seconds())} ago and waits for its "
        f"finalizers ({finalizers}); is the controller that sets them, such as KubeRay, still installed? "
        "docs/operations.md, Deleting, says how to remove them"
    )


def wanted_clusters(children: Children, name: str) -> frozenset[str]:
    """Return the names of the RayClusters that KubeRay serves from or prepares; others are about to go.

    Parameters
    ----------
    children
        Objects that belong to the VoiceModel.
    name
        Its name, which the RayService has too.

    Returns
    -------
    frozenset of str
        Empty if KubeRay has not named any yet.
    """
    status = children.services.get(name, {}).get("status", {})
    names = (cluster.get("rayClusterName") for cluster in _clusters(status))
    return frozenset(cluster for cluster in names if cluster)


def _find_issue(
    pods: Sequence[Object], failures: Sequence[PodFailure], wanted: Collection[str], now: datetime
) -> PodIssue | None:
    """Return what keeps pods of the wanted clusters from running, or how they fail one after the other."""
    current = [pod for pod in pods if not wanted or pod["metadata"]["labels"].get(CLUSTER_LABEL) in wanted]
    if (issue := find_first_issue(current, now)) is not None:
        return issue
    repeated = [failure for failure in failures if not wanted or failure.cluster in wanted]
    if len(repeated) < REPEATED:
        return None
    last = repeated[-1]
    return PodIssue(last.reason, f"{last.message}; {len(repeated)} pods ended within ten minutes", last.pod)


def _find_obsolete_cluster(children: Children, raw: Object, pods: Sequence[Object]) -> str | None:
    """Return the RayCluster that KubeRay prepares if it has no pod and other templates than the RayService.

    KubeRay waits for it whatever is applied meanwhile, even the correction of what keeps its pods from being created.
    """
    name = raw.get("status", {}).get("pendingServiceStatus", {}).get("rayClusterName")
    cluster = children.clusters.get(name) if name else None
    if cluster is None or cluster["metadata"].get("deletionTimestamp"):
        return None
    if any(pod["metadata"]["labels"].get(CLUSTER_LABEL) == name for pod in pods):
        return None
    obsolete = _templates(cluster["spec"]) != _templates(raw.get("spec", {}).get("rayClusterConfig", {}))
    return str(name) if obsolete else None


def _templates(spec: Object) -> list[Any]:
    groups = (spec.get("headGroupSpec", {}), *spec.get("workerGroupSpecs", ()))
    return [group.get("template") for group in groups]


def find_heads(children: Children, name: str) -> frozenset[str]:
    """Find the heads of the RayCluster that serves; the ingress runs there.

    Parameters
    ----------
    children
        Objects that belong to the VoiceModel.
    name
        Its name, which the RayService has too.

    Returns
    -------
    frozenset of str
        UIDs of the pods: one, or none and others while a head is replaced.
    """
    cluster = _get_active_cluster(children.services.get(name, {}))
    return frozenset(pod["metadata"]["uid"] for pod in _list_pods(children, "head", cluster))


def observe_service(
    children: Children,
    name: str,
    url: str,
    report: RevisionsResponse | None,
    now: datetime,
    failures: Sequence[PodFailure] = (),
    creation_issues: Mapping[str, PodIssue] = MappingProxyType({}),
) -> ObservedService | None:
    """Return the RayService of a VoiceModel.

    Parameters
    ----------
    children
        Objects that belong to the VoiceModel.
    name
        Its name, which the RayService has too.
    url
        Where the voice is called inside the cluster.
    report
        What the replicas report over HTTP; None if nothing answered.
    now
        The time, for pods that take too long to start.
    failures
        How pods ended within the last ten minutes, the oldest first.
    creation_issues
        Why RayClusters have no pods, by name.

    Returns
    -------
    ObservedService or None
        None if there is no RayService, or it is being deleted.
    """
    raw = children.services.get(name)
    if raw is None or is_deleted(children, name):
        return None
    status, wanted = raw.get("status", {}), wanted_clusters(children, name)
    cluster = _get_active_cluster(raw)
    pods = [pod for pod in children.pods.values() if RAY_LABEL in pod["metadata"].get("labels", {})]
    return ObservedService(
        applied=raw["metadata"].get("annotations", {}).get(HASH_ANNOTATION, ""),
        url=url,
        replicas=report.replicas if report else (),
        error=_application_error(status, APPLICATION),
        canary_error=_application_error(status, CANARY_APPLICATION),
        start_error=_start_error(status, APPLICATION),
        traffic=report.traffic if report else {},
        answers=report is not None,
        cluster=cluster,
        bounds=_bounds(children.clusters.get(cluster)) if cluster else None,
        workers=len(_list_pods(children, "worker", cluster)),
        obsolete_cluster=_find_obsolete_cluster(children, raw, pods),
        settled=_is_settled(raw),
        pod_issue=_find_issue(pods, failures, wanted, now)
        or next((creation_issues[cluster] for cluster in wanted & creation_issues.keys()), None),
    )
