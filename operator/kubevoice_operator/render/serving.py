"""What Ray Serve is told: which applications run, with which voices, and how requests are divided among them."""

import math
from dataclasses import dataclass
from typing import Any

from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.render.names import CACHE_DIR

__all__ = [
    "APPLICATION",
    "CANARY_APPLICATION",
    "DRAIN_SECONDS",
    "HTTP_PORT",
    "Bundle",
    "Traffic",
    "replica_cpus",
    "serve_config",
]

APPLICATION = "voice"
CANARY_APPLICATION = "canary"
"""Applications are independent: this one comes and goes, and may fail, without touching a replica of the other."""
HTTP_PORT = 8000
ONGOING_HEADROOM = 2
"""A replica accepts this many times the requests it is sized for, so that the autoscaler sees load before a queue."""
DRAIN_SECONDS = 300
"""What is stopped finishes its requests first; speaking the longest text there may be takes no longer than this."""
HEAD_NODE = "node:__internal_head__"
"""Ray's own resource of the head."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A released voice: its revision, and where it lies."""

    revision: str
    uri: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which bundles answer: the stable one, and a canary that gets `weight` percent of the requests."""

    stable: Bundle
    canary: Bundle | None = None
    weight: int = 0


def replica_cpus(model: VoiceModel) -> int:
    """Return the CPUs by Ray's count of one replica, and of a worker: one fills the other.

    Ray's CPUs are whole numbers of slots and limit nothing; what a pod may use is said in its own resources.
    """
    return math.ceil(model.spec.serving.replica.cpu)


def _synthesizer(model: VoiceModel, bundle: Bundle, least: int) -> Object:
    serving, storage = model.spec.serving, model.spec.storage
    where: Object = {"region": storage.region, "pathStyle": storage.path_style}
    if storage.endpoint:
        where["endpoint"] = storage.endpoint
    return {
        "name": "Synthesizer",
        "max_ongoing_requests": max(1, round(ONGOING_HEADROOM * serving.target_ongoing_requests)),
        "max_queued_requests": serving.max_queued_requests,
        "max_surge_percent": 100,  # the only replica must not stop before its successor speaks
        "graceful_shutdown_timeout_s": DRAIN_SECONDS,
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": serving.max_replicas,
            "target_ongoing_requests": serving.target_ongoing_requests,
            "upscale_delay_s": serving.upscale_delay_seconds,
            "downscale_delay_s": serving.downscale_delay_seconds,
        },
        "ray_actor_options": {"num_cpus": replica_cpus(model), "num_gpus": serving.replica.gpu},
        "user_config": {
            "voices": [{"name": model.metadata.name, "revision": bundle.revision, "uri": bundle.uri, "storage": where}],
            "default": model.metadata.name,
            "threads": serving.replica.threads,
        },
    }


def _ingress(traffic: Traffic) -> Object:
    """Return the HTTP side. It runs on the head: workers come and go, and when the head is lost all is."""
    canary = traffic.canary
    share = canary and {
        "application": CANARY_APPLICATION,
        "revision": canary.revision,
        "weight": traffic.weight,
    }
    return {
        "name": "Ingress",
        "max_surge_percent": 100,
        "graceful_shutdown_timeout_s": DRAIN_SECONDS,
        "ray_actor_options": {"num_cpus": 0, "resources": {HEAD_NODE: 0.001}},
        "user_config": {"canary": share},
    }


def _application(name: str, route: str | None, builder: str, deployments: list[Object]) -> Object:
    return {
        "name": name,
        "route_prefix": route,
        "import_path": f"kubevoice_serving.app:{builder}",
        "args": {"cacheDir": CACHE_DIR},
        "deployments": deployments,
    }


def serve_config(model: VoiceModel, traffic: Traffic) -> Object:
    """Return the Ray Serve config.

    Another revision, canary or weight changes a `user_config`, which Ray swaps in place, or adds and removes the
    canary's application: no replica of the stable revision is ever restarted for it.
    """
    least = model.spec.serving.min_replicas
    speakers = _synthesizer(model, traffic.stable, least)
    applications = [_application(APPLICATION, "/", "build", [_ingress(traffic), speakers])]
    if traffic.canary is not None:
        trial = _synthesizer(model, traffic.canary, 1)
        applications.append(_application(CANARY_APPLICATION, None, "build_canary", [trial]))
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": HTTP_PORT},  # noqa: S104  # a pod's own address
        "applications": applications,
    }
