"""Remembers how pods of Ray ended. KubeRay replaces a pod that failed, and then nothing of it is left to see."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubevoice.resources.conditions import Reason

from kubevoice_operator.cluster.keys import OwnerKey
from kubevoice_operator.cluster.pod_issues import CLUSTER_LABEL, find_failure

__all__ = ["PodFailure", "PodFailures"]

WINDOW_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class PodFailure:
    """The end of a pod of a RayCluster that was not asked to end."""

    cluster: str
    pod: str
    reason: Reason
    message: str
    recorded_at: float
    """Seconds of time.monotonic()."""


class PodFailures:
    """The failures of the last ten minutes, by VoiceModel or VoicePool."""

    def __init__(self) -> None:
        self._failures: dict[OwnerKey, dict[str, PodFailure]] = {}
        """By UID of the pod and time of the end. Added by `record`, removed by `recent` and `forget`."""

    def record(self, key: OwnerKey, body: Mapping[str, Any]) -> None:
        """Record how a pod of a RayCluster ended; other objects are ignored.

        Parameters
        ----------
        key
            The VoiceModel or VoicePool that the object belongs to.
        body
            An object as the API server sent it.
        """
        meta = body["metadata"]
        cluster = meta.get("labels", {}).get(CLUSTER_LABEL)
        if body["kind"] != "Pod" or cluster is None or (failure := find_failure(body)) is None:
            return
        name = f"{meta.get('uid')}/{failure.ended_at}"
        self._failures.setdefault(key, {}).setdefault(
            name, PodFailure(cluster, meta["name"], failure.reason, failure.message, time.monotonic())
        )

    def recent(self, key: OwnerKey) -> tuple[PodFailure, ...]:
        """Return the failures of a VoiceModel's or VoicePool's pods within the last ten minutes.

        Parameters
        ----------
        key
            The VoiceModel or VoicePool.

        Returns
        -------
        tuple of PodFailure
            The oldest first.
        """
        oldest = time.monotonic() - WINDOW_SECONDS
        recent = {name: item for name, item in self._failures.pop(key, {}).items() if item.recorded_at > oldest}
        if recent:
            self._failures[key] = recent
        return tuple(recent.values())

    def forget(self, key: OwnerKey) -> None:
        """Forget the failures of a VoiceModel or VoicePool that is gone.

        Parameters
        ----------
        key
            The VoiceModel or VoicePool.
        """
        self._failures.pop(key, None)
