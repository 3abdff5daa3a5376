"""What Ray Serve is told: which applications run, with which voices, and how requests are divided among them."""

import math
from dataclasses import dataclass
from typing import Any

from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.render.names import CACHE_DIR, KEYS_DIR

__all__ = [
    "APPLICATION",
    "CANARY_APPLICATION",
    "FINISH_SECONDS",
    "HTTP_PORT",
    "PROXY_ENVIRONMENT",
    "RAY_ENVIRONMENT",
    "Bundle",
    "Traffic",
    "program",
    "replica_cpus",
    "serve_config",
]

APPLICATION = "voice"
CANARY_APPLICATION = "canary"
"""Applications are independent: this one comes and goes, and may fail, without touching a replica of the other."""
HTTP_PORT = 8000
ONGOING_HEADROOM = 32
"""A replica takes this many times the requests it is sized for: it speaks for all of them in turns, far faster than
they listen, and refuses a stream itself when it would come too late. In Ray's queue a stream would wait for the end of
others, neither heard nor refused."""
FINISH_SECONDS = 180
"""What is stopped finishes its requests first: as long as the longest text there may be takes to speak."""
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would call out of the cluster
    # Our code blocks no event loop, so it needs none of its own: handing requests from one to the other and back takes
    # a third of what Ray costs a request.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}
"""The environment of every node."""
PROXY_ENVIRONMENT = {
    # With HAProxy before the HTTP side a request takes 6 ms less than with Ray's own proxy. It listens on all addresses
    # and tells anybody how many requests there were: fit for a pod, not for somebody's own machine.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    # When the HTTP side moves, another HAProxy takes over and the one before ends its requests.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(FINISH_SECONDS),
    # Who calls is not passed on otherwise. Ray has no setting for it, but writes what this one says into HAProxy's
    # defaults as it is.
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure\n    option forwardfor",
}
"""What the nodes of a cluster get besides."""

Object = dict[str, Any]

BUILD, BUILD_CANARY = "kubevoice_serving.app:build", "kubevoice_serving.app:build_canary"
ARGUMENTS: Object = {"cacheDir": CACHE_DIR}
INGRESS_ACTOR: Object = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
"""The HTTP side runs on the head, found by a resource that Ray gives it: workers come and go, and when the head is
lost all is.
"""


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


def _actor(model: VoiceModel) -> Object:
    return {"num_cpus": replica_cpus(model), "num_gpus": model.spec.serving.replica.gpu}


def program(model: VoiceModel) -> Object:
    """Return what Ray would restart replicas for.

    It changes with the cluster, never within one: there a replica's successor would find no room while every worker
    is full.
    """
    return {"args": ARGUMENTS, "actor": _actor(model), "ingress": INGRESS_ACTOR, "builders": [BUILD, BUILD_CANARY]}


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
        "graceful_shutdown_timeout_s": FINISH_SECONDS,
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": serving.max_replicas,
            "target_ongoing_requests": serving.target_ongoing_requests,
            "upscale_delay_s": serving.upscale_delay_seconds,
            "downscale_delay_s": serving.downscale_delay_seconds,
        },
        "ray_actor_options": _actor(model),
        "user_config": {
            "voices": [{"name": model.metadata.name, "revision": bundle.revision, "uri": bundle.uri, "storage": where}],
            "default": model.metadata.name,
            "threads": serving.replica.threads,
        },
    }


def _ingress(model: VoiceModel, traffic: Traffic) -> Object:
    """Return the HTTP side; how it divides requests, what it may remember and whom it lets in is swapped in place."""
    name, cache, expose = model.metadata.name, model.spec.serving.cache, model.spec.serving.expose
    canary = traffic.canary
    share = canary and {
        "application": CANARY_APPLICATION,
        "revision": canary.revision,
        "weight": traffic.weight,
    }
    return {
        "name": "Ingress",
        "max_surge_percent": 100,
        "graceful_shutdown_timeout_s": FINISH_SECONDS,
        "ray_actor_options": INGRESS_ACTOR,
        "user_config": {
            "canary": share,
            "voices": {name: traffic.stable.revision},
            "default": name,
            "cache": {"megabytes": cache.megabytes, "ttlSeconds": cache.ttl_seconds, "redisUrl": cache.redis_url},
            "access": {
                "keysFile": f"{KEYS_DIR}/{expose.auth.key}" if expose.auth else None,
                "requestsPerMinute": expose.requests_per_minute,
                "corsOrigins": list(expose.cors_origins),
            },
        },
    }


def _application(name: str, route: str | None, builder: str, deployments: list[Object]) -> Object:
    return {
        "name": name,
        "route_prefix": route,
        "import_path": builder,
        "args": dict(ARGUMENTS),
        "deployments": deployments,
    }


def serve_config(model: VoiceModel, traffic: Traffic) -> Object:
    """Return the Ray Serve config.

    Another revision, canary or weight changes a `user_config`, which Ray swaps in place, or adds and removes the
    canary's application: no replica of the stable revision is ever restarted for it.
    """
    least = model.spec.serving.min_replicas
    speakers = _synthesizer(model, traffic.stable, least)
    applications = [_application(APPLICATION, "/", BUILD, [_ingress(model, traffic), speakers])]
    if traffic.canary is not None:
        trial = _synthesizer(model, traffic.canary, 1)
        applications.append(_application(CANARY_APPLICATION, None, BUILD_CANARY, [trial]))
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": HTTP_PORT},  # noqa: S104  # a pod's own address
        "applications": applications,
    }
