"""Renders the Ray Serve config: applications, their voices, and how requests are split between them."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubevoice.resources.data_plane import (
    AccessConfig,
    AliasConfig,
    CacheConfig,
    CanaryConfig,
    ClientsConfig,
    IngressConfig,
    QueueConfig,
    StorageConfig,
    SynthesizerConfig,
    VoiceConfig,
)
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.render.names import CACHE_DIR, KEYS_DIR

__all__ = [
    "APPLICATION",
    "CANARY_APPLICATION",
    "DRAIN_SECONDS",
    "HTTP_PORT",
    "INGRESS",
    "PROXY_ENVIRONMENT",
    "RAY_ENVIRONMENT",
    "BundleRef",
    "TrafficSplit",
    "replica_cpus",
    "restart_fingerprint",
    "serve_config",
]

APPLICATION = "voice"
CANARY_APPLICATION = "canary"
"""The canary is an application of its own: it can be added, fail and be removed without touching stable replicas."""
INGRESS = "Ingress"
"""The deployment that answers HTTP; its user_config is an IngressConfig."""
HTTP_PORT = 8000
ONGOING_HEADROOM = 32
"""A replica accepts this many times its target of ongoing requests. It synthesizes faster than real time, schedules all
streams by deadline, and refuses a stream itself when the first chunk would be late. In Ray's queue a stream would wait
for others to end."""
DRAIN_SECONDS = 180
"""Time for a replica that is stopped to finish its requests: the longest text allowed takes about this long."""
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would connect to a server outside the cluster
    # By default replicas and the ingress deployment yield to every other process (nice 15).
    "RAY_worker_niceness": "0",
    # Our code does not block the event loop, so it needs no loop of its own: passing requests between two loops is a
    # third of Ray's cost of a request.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}
"""The environment of every node."""
RETRY_SECONDS = 5
_UNAVAILABLE = json.dumps(
    {
        "error": {
            "message": f"the voice cannot be reached now; try again in {RETRY_SECONDS} s",
            "type": "server_error",
            "code": "unavailable",
            "param": None,
            "problems": [],
        }
    }
)
_PROXY_SETTINGS = (
    "option forwardfor",  # forwards the client's address
    # Ends requests to a head that is gone without a word.
    *("option srvtcpka", "srvtcpka-idle 5s", "srvtcpka-intvl 2s", "srvtcpka-cnt 3"),
)
_PROXY_ERRORS = tuple(
    f"http-error status {status} content-type application/json string '{_UNAVAILABLE}' hdr Retry-After {RETRY_SECONDS}"
    for status in (502, 503, 504)
)
"""HAProxy's own errors in the form of the API's. Ray's are 500 in plain text."""
PROXY_ENVIRONMENT = {
    # HAProxy takes 6 ms less a request than Ray's own proxy. It listens on all addresses and shows its statistics to
    # anybody, so it is not used on a user's own machine.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    # When the ingress deployment moves, a new HAProxy takes over and the old one finishes its requests.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(DRAIN_SECONDS),
    # While the head is replaced, callers get an error after two seconds. By default they wait for 20.
    "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S": "1",
    "RAY_SERVE_HAPROXY_RETRIES": "1",
    # Ray has no settings for what follows, but copies these two into HAProxy's defaults section: one before its own
    # error messages, one after.
    "RAY_SERVE_HAPROXY_RETRY_ON": "\n    ".join(("conn-failure", *_PROXY_SETTINGS)),
    "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM": "\n    ".join(("leastconn", *_PROXY_ERRORS)),
}
"""Further environment of nodes on Kubernetes."""

Object = dict[str, Any]

BUILD, BUILD_CANARY = "kubevoice_serving.app:build", "kubevoice_serving.app:build_canary"
ARGUMENTS: Object = {"cacheDir": CACHE_DIR}
INGRESS_ACTOR: Object = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
"""The ingress deployment runs on the head, selected by Ray's built-in resource: workers are scaled, the head is not."""


@dataclass(frozen=True, slots=True)
class BundleRef:
    """A released bundle: its revision (digest) and URI."""

    revision: str
    uri: str


@dataclass(frozen=True, slots=True)
class TrafficSplit:
    """How requests are split: a stable bundle, and a canary that gets `weight` percent."""

    stable: BundleRef
    canary: BundleRef | None = None
    weight: int = 0


def replica_cpus(model: VoiceModel) -> int:
    """Return the Ray CPUs of one replica; a worker has as many, so it holds one replica.

    Ray's CPUs are only for placement. The pod's own resources set the limit.

    Parameters
    ----------
    model
        The VoiceModel.

    Returns
    -------
    int
        At least 1.
    """
    return math.ceil(model.spec.serving.replica.cpu)


def _build_actor(model: VoiceModel) -> Object:
    return {"num_cpus": replica_cpus(model), "num_gpus": model.spec.serving.replica.gpu}


def restart_fingerprint(model: VoiceModel) -> Object:
    """Return the settings for which Ray would restart replicas.

    They are part of the cluster's template, so a change makes KubeRay prepare a new cluster. Within a running cluster
    a replacement replica would find no free worker.

    Parameters
    ----------
    model
        The VoiceModel.

    Returns
    -------
    dict
        The settings by name.
    """
    return {
        "args": ARGUMENTS,
        "actor": _build_actor(model),
        "ingress": INGRESS_ACTOR,
        "builders": [BUILD, BUILD_CANARY],
    }


def _build_synthesizer(model: VoiceModel, bundle: BundleRef, least: int) -> Object:
    serving, storage, name = model.spec.serving, model.spec.storage, model.metadata.name
    reached = StorageConfig(endpoint=storage.endpoint, region=storage.region, path_style=storage.path_style)
    voice = VoiceConfig(name=name, revision=bundle.revision, uri=bundle.uri, storage=reached)
    config = SynthesizerConfig(voices=(voice,), default=name, threads=serving.replica.threads)
    return {
        "name": "Synthesizer",
        "max_ongoing_requests": max(1, round(ONGOING_HEADROOM * serving.target_ongoing_requests)),
        "max_queued_requests": serving.max_queued_requests,
        "max_surge_percent": 100,  # a single replica stops only when its replacement is ready
        "graceful_shutdown_timeout_s": DRAIN_SECONDS,
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": serving.max_replicas,
            "target_ongoing_requests": serving.target_ongoing_requests,
            "upscale_delay_s": serving.upscale_delay_seconds,
            "downscale_delay_s": serving.downscale_delay_seconds,
        },
        "ray_actor_options": _build_actor(model),
        "user_config": config.to_user_config(),
    }


def _build_ingress(model: VoiceModel, traffic: TrafficSplit) -> Object:
    """Return the ingress deployment. Its user_config (traffic split, response cache, access) is swapped in place."""
    name, serving, canary = model.metadata.name, model.spec.serving, traffic.canary
    cache, expose, clients = serving.cache, serving.expose, serving.clients
    config = IngressConfig(
        canary=canary and CanaryConfig(application=CANARY_APPLICATION, revision=canary.revision, weight=traffic.weight),
        voices={name: traffic.stable.revision},
        default=name,
        cache=CacheConfig(megabytes=cache.megabytes, ttl_seconds=cache.ttl_seconds, redis_url=cache.redis_url),
        access=AccessConfig(
            keys_file=Path(KEYS_DIR) / expose.auth.key if expose.auth else None,
            requests_per_minute=expose.requests_per_minute,
            cors_origins=expose.cors_origins,
        ),
        clients=ClientsConfig(
            aliases={
                other: AliasConfig(voice=name, speaker=alias.speaker, emotion=alias.emotion)
                for other, alias in clients.voice_aliases.items()
            },
            unknown_voice=clients.unknown_voice,
            silent_text=clients.silent_text,
        ),
        queue=QueueConfig(requests=serving.max_queued_requests, seconds=serving.queue_seconds),
    )
    return {
        "name": INGRESS,
        "max_surge_percent": 100,
        "graceful_shutdown_timeout_s": DRAIN_SECONDS,
        "ray_actor_options": INGRESS_ACTOR,
        "user_config": config.to_user_config(),
    }


def _build_application(name: str, route: str | None, builder: str, deployments: list[Object]) -> Object:
    return {
        "name": name,
        "route_prefix": route,
        "import_path": builder,
        "args": dict(ARGUMENTS),
        "deployments": deployments,
    }


def serve_config(model: VoiceModel, traffic: TrafficSplit) -> Object:
    """Render the Ray Serve config (`serveConfigV2`).

    A change of revision, canary or weight changes a `user_config`, which Ray swaps in place, or adds and removes the
    canary application. It never restarts a stable replica.

    Parameters
    ----------
    model
        The VoiceModel.
    traffic
        Which bundles are served, and the canary's share.

    Returns
    -------
    dict
        The config as Ray Serve's REST API takes it.
    """
    least = model.spec.serving.min_replicas
    synthesizer = _build_synthesizer(model, traffic.stable, least)
    applications = [_build_application(APPLICATION, "/", BUILD, [_build_ingress(model, traffic), synthesizer])]
    if traffic.canary is not None:
        canary = _build_synthesizer(model, traffic.canary, 1)
        applications.append(_build_application(CANARY_APPLICATION, None, BUILD_CANARY, [canary]))
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": HTTP_PORT},  # noqa: S104  # a pod's own address
        "applications": applications,
    }
