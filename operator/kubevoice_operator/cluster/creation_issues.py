"""Finds why a Job or a RayCluster has no pods: the API server refuses them, and only Events say so."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from kubevoice.resources.conditions import Reason

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.cache import Children
from kubevoice_operator.cluster.model_state import ModelState
from kubevoice_operator.cluster.pod_issues import CLUSTER_LABEL, parse_timestamp
from kubevoice_operator.cluster.service_snapshot import wanted_clusters
from kubevoice_operator.cluster.snapshot import JOB_NAME_LABEL, is_running
from kubevoice_operator.observed_state import PodIssue

__all__ = ["CHECK_SECONDS", "fetch_creation_issues", "lacks_pods"]

Object = Mapping[str, Any]
CHECK_SECONDS = 10.0
REASONS = ("FailedCreate", "FailedToCreateHeadPod", "FailedToCreateWorkerPod", "FailedToCreatePod")
"""Of the Events of the Job controller and of KubeRay."""


def _without_pods(name: str, children: Children) -> Iterator[Object]:
    """Iterate over running Jobs and wanted RayClusters that have no pod."""
    pods = [pod["metadata"].get("labels", {}) for pod in children.pods.values()]
    with_pods = {labels.get(label) for labels in pods for label in (JOB_NAME_LABEL, CLUSTER_LABEL)}
    jobs = [job for job in children.jobs.values() if is_running(job)]
    wanted = wanted_clusters(children, name)
    clusters = [cluster for cluster_name, cluster in children.clusters.items() if cluster_name in wanted]
    for body in (*jobs, *clusters):
        if body["metadata"]["name"] not in with_pods and not body["metadata"].get("deletionTimestamp"):
            yield body


def lacks_pods(name: str, children: Children) -> bool:
    """Return whether a running Job or a wanted RayCluster has no pod.

    Parameters
    ----------
    name
        Name of the RayService.
    children
        The objects that belong to the same VoiceModel or VoicePool.

    Returns
    -------
    bool
        Whether `fetch_creation_issues` must be called again, for no watch shows Events.
    """
    return next(_without_pods(name, children), None) is not None


async def fetch_creation_issues(
    api: KubernetesApi, name: str, children: Children, state: ModelState, now: datetime
) -> Mapping[str, PodIssue]:
    """Ask the API server why Jobs and RayClusters have no pods, at most every CHECK_SECONDS.

    Parameters
    ----------
    api
        The API server.
    name
        Name of the RayService.
    children
        The objects that belong to the same VoiceModel or VoicePool.
    state
        Keeps the answers and their time.
    now
        The time. A controller creates pods within CHECK_SECONDS.

    Returns
    -------
    dict
        The newest refusal by name of the Job or RayCluster.

    Raises
    ------
    ApiException, aiohttp.ClientError, OSError, TimeoutError
        If the API server does not answer.
    """
    lacking = [body for body in _without_pods(name, children) if _age(body, now) >= CHECK_SECONDS]
    names = {body["metadata"]["name"] for body in lacking}
    state.creation_issues = {name: issue for name, issue in state.creation_issues.items() if name in names}
    if lacking and time.monotonic() - state.creation_checked_at >= CHECK_SECONDS:
        state.creation_checked_at = time.monotonic()
        for body in lacking:
            meta = body["metadata"]
            warnings = [
                w for w in await api.list_warnings(meta["namespace"], meta["uid"]) if w.get("reason") in REASONS
            ]
            if warnings:
                note = max(warnings, key=_last_time).get("message", "")
                message = f"{body['kind']} {meta['name']} cannot create its pods: {note}"
                state.creation_issues[meta["name"]] = PodIssue(Reason.REFUSED_BY_API, message, "")
    return state.creation_issues


def _age(body: Object, now: datetime) -> float:
    """Return the seconds since an object was created, or a Job began."""
    began = parse_timestamp(body.get("status", {}).get("startTime") or body["metadata"].get("creationTimestamp"))
    return (now - began).total_seconds() if began else 0.0


def _last_time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
