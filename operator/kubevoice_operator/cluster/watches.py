"""The watches, by kopf: every event of a VoiceModel or VoicePool, or of an object that belongs to it, enqueues it.

Only `on.event` handlers are used. They write neither finalizers nor annotations, so a VoiceModel can be deleted while
no operator runs.
"""

import time
from collections.abc import Callable, Collection
from typing import Any

import kopf
from kubevoice.resources.voicemodel import GROUP, VERSION
from typing_extensions import override

from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.keys import OwnerKey, key_of
from kubevoice_operator.cluster.lease import LEASE_LABELS, LEASES
from kubevoice_operator.render.names import KEY_LABEL, MANAGED_LABEL, MANAGER

__all__ = ["RESOURCES", "Heartbeat", "build_registry", "build_settings"]

MANAGED = f"{MANAGED_LABEL}={MANAGER}"
RESOURCES = {
    (GROUP, VERSION, "voicemodels"): "",
    (GROUP, VERSION, "voicepools"): "",
    ("batch", "v1", "jobs"): KEY_LABEL,
    ("", "v1", "pods"): MANAGED,
    ("ray.io", "v1", "rayservices"): MANAGED,
    ("ray.io", "v1", "rayclusters"): MANAGED,
    ("networking.k8s.io", "v1", "ingresses"): MANAGED,
    ("networking.k8s.io", "v1", "networkpolicies"): MANAGED,
    ("gateway.networking.k8s.io", "v1", "httproutes"): MANAGED,
}
"""Resources to watch, with the label selector of those that belong to the operator."""
Enqueue = Callable[[OwnerKey], None]


class Heartbeat:
    """Time since the last watch event. The watch of the operator's own Lease makes one at every renewal."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def beat(self) -> None:
        """Record that a watch event arrived."""
        self._last = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last watch event."""
        return time.monotonic() - self._last


class DisabledDiffStorage(kopf.DiffBaseStorage):
    """Turns off kopf's storage of the last seen object: it would be copied at every event, and no handler needs it."""

    @override
    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return nothing to compare."""
        return kopf.BodyEssence({})

    @override
    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Return None: nothing was stored."""
        return None

    @override
    def store(self, **_: Any) -> None:
        """Store nothing."""


def build_settings(namespaces: Collection[str]) -> kopf.OperatorSettings:
    """Configure kopf to watch, and to write nothing.

    Parameters
    ----------
    namespaces
        Namespaces to watch; empty for the whole cluster.

    Returns
    -------
    OperatorSettings
        kopf's settings.
    """
    settings = kopf.OperatorSettings()
    # An operator limited to namespaces may not list namespaces or resource definitions.
    settings.scanning.disabled = bool(namespaces)
    settings.posting.enabled = False  # the operator posts its own Events
    settings.persistence.finalizer = f"{GROUP}/finalizer"  # never set, for no handler needs one
    settings.persistence.diffbase_storage = DisabledDiffStorage()
    settings.queueing.idle_timeout = 1.0  # kopf keeps a task for each object that had an event within this time
    settings.queueing.exit_timeout = 0.5  # events during shutdown are left to the next leader
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310  # a watch without events or end is closed
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    selectors: Any = settings.watching.label_selectors
    for resource, labels in RESOURCES.items():
        if labels:
            selectors[resource] = labels
    selectors[LEASES] = ",".join(f"{name}={value}" for name, value in LEASE_LABELS.items())
    return settings


def build_registry(cache: ResourceCache, enqueue: Enqueue, heartbeat: Heartbeat) -> kopf.OperatorRegistry:
    """Register one handler for all resources: it updates the cache and enqueues what changed.

    Parameters
    ----------
    cache
        Gets every object.
    enqueue
        Called with the key of the VoiceModel or VoicePool that changed.
    heartbeat
        Called at every event.

    Returns
    -------
    OperatorRegistry
        kopf's registry.
    """
    registry = kopf.OperatorRegistry()

    async def handle_event(event: Any, **_: Any) -> None:
        heartbeat.beat()
        body = event["object"]
        # The operator's own write of a status is known by its answer.
        known = event["type"] != "DELETED" and cache.is_known(body)
        # A VoiceModel that leaves a pool changes that pool, too.
        pools = cache.pools(key_of(body))
        key = cache.remove(body) if event["type"] == "DELETED" else cache.put(body)
        if key is not None and not known:
            for changed in {key, *pools, *cache.pools(key)}:
                enqueue(changed)

    async def handle_lease(**_: Any) -> None:
        heartbeat.beat()

    for resource in RESOURCES:
        kopf.on.event(*resource, registry=registry)(handle_event)
    kopf.on.event(*LEASES, registry=registry)(handle_lease)
    kopf.on.login(registry=registry)(_login)
    return registry


def _login(**arguments: Any) -> Any:
    """Use the pod's service account, or else the user's kubeconfig."""
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)
