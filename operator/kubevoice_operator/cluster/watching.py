"""kopf's part: it watches VoiceModels and what belongs to them, and every event wakes the VoiceModel it is about.

Only `on.event` handlers are used: they write nothing to the objects, neither finalizers nor annotations, so a
VoiceModel can be deleted while no operator runs.
"""

import time
from collections.abc import Callable, Collection
from typing import Any

import kopf
from kubevoice.resources.voicemodel import GROUP, VERSION
from typing_extensions import override

from kubevoice_operator.cluster.api import LEASE_LABELS
from kubevoice_operator.cluster.cache import Cache, Key
from kubevoice_operator.render.names import KEY_LABEL, VOICE_LABEL

__all__ = ["RESOURCES", "Heartbeat", "registry", "settings"]

RESOURCES = {
    (GROUP, VERSION, "voicemodels"): "",
    ("batch", "v1", "jobs"): KEY_LABEL,
    ("", "v1", "pods"): VOICE_LABEL,
    ("ray.io", "v1", "rayservices"): VOICE_LABEL,
    ("ray.io", "v1", "rayclusters"): VOICE_LABEL,
    ("networking.k8s.io", "v1", "ingresses"): VOICE_LABEL,
    ("networking.k8s.io", "v1", "networkpolicies"): VOICE_LABEL,
    ("gateway.networking.k8s.io", "v1", "httproutes"): VOICE_LABEL,
}
"""What is watched, and the labels by which the API server picks it."""
LEASES = ("coordination.k8s.io", "v1", "leases")
Wake = Callable[[Key], None]


class Heartbeat:
    """When the watches last brought something. This process renews its Lease all the time and watches it, too."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def beat(self) -> None:
        """Note that the watches are alive."""
        self._last = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the watches brought something."""
        return time.monotonic() - self._last


class NoDiffs(kopf.DiffBaseStorage):
    """kopf's memory of what an object looked like: copied with every event, and asked for by no handler of ours."""

    @override
    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    @override
    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    @override
    def store(self, **_: Any) -> None:
        return None


def settings(namespaces: Collection[str]) -> kopf.OperatorSettings:
    """Return kopf's settings, all in one place."""
    found = kopf.OperatorSettings()
    # Who looks after some namespaces has no right to see which there are, nor which resources are defined.
    found.scanning.disabled = bool(namespaces)
    found.posting.enabled = False  # Events are ours: the story of a voice, not kopf's log
    found.persistence.finalizer = f"{GROUP}/finalizer"  # never set, for no handler needs one
    found.persistence.diffbase_storage = NoDiffs()
    found.queueing.idle_timeout = 1.0  # a task an object, between two events of it
    found.queueing.exit_timeout = 0.5  # what comes while we stop is for the next leader
    found.watching.server_timeout = 300
    found.watching.client_timeout = 310  # a watch that neither speaks nor ends is cut
    found.watching.connect_timeout = 30
    found.networking.request_timeout = 30
    found.networking.connect_timeout = 10
    selectors: Any = found.watching.label_selectors
    for resource, labels in RESOURCES.items():
        if labels:
            selectors[resource] = labels
    selectors[LEASES] = ",".join(f"{name}={value}" for name, value in LEASE_LABELS.items())
    return found


def registry(cache: Cache, wake: Wake, heartbeat: Heartbeat) -> kopf.OperatorRegistry:
    """Return the handlers, the same for every resource."""
    found = kopf.OperatorRegistry()

    async def seen(event: Any, **_: Any) -> None:
        heartbeat.beat()
        body = event["object"]
        key = cache.drop(body) if event["type"] == "DELETED" else cache.put(body)
        if key is not None:
            wake(key)

    async def lease(**_: Any) -> None:
        heartbeat.beat()

    for resource in RESOURCES:
        kopf.on.event(*resource, registry=found)(seen)
    kopf.on.event(*LEASES, registry=found)(lease)
    kopf.on.login(registry=found)(_login)
    return found


def _login(**arguments: Any) -> Any:
    """Use the pod's service account, or else the user's kubeconfig."""
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)
