"""Renders the Ray Serve config: applications, their voices, and how requests are split between them."""

import math
from collections.abc import Sequence
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
    ResidencyConfig,
    StorageConfig,
    SynthesizerConfig,
    VoiceConfig,
)
from kubevoice.resources.voicemodel import VoiceModel
from kubevoice.resources.voicepool import VoicePool

from kubevoice_operator.render.names import CACHE_DIR, KEYS_DIR, Owner
from kubevoice_operator.render.ray_environment import DRAIN_SECONDS

__all__ = [
    "APPLICATION",
    "CANARY_APPLICATION",
    "HTTP_PORT",
    "INGRESS",
    "BundleRef",
    "TrafficSplit",
    "replica_cpus",
    "restart_fingerprint",
    "serve_config",
    "serve_pool_config",
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
POOL_ONGOING_REQUESTS = 1024
"""Requests that a replica of a pool accepts. Each voice has limits of its own in the replica; if Ray's were lower, one
voice could use it up for all."""
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


def replica_cpus(owner: Owner) -> int:
    """Return the Ray CPUs of one replica; a worker has as many, so it holds one replica.

    Ray's CPUs are only for placement. The pod's own resources set the limit.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.

    Returns
    -------
    int
        At least 1.
    """
    return math.ceil(owner.spec.serving.replica.cpu)


def _build_actor(owner: Owner) -> Object:
    return {"num_cpus": replica_cpus(owner), "num_gpus": owner.spec.serving.replica.gpu}


def restart_fingerprint(owner: Owner) -> Object:
    """Return the settings for which Ray would restart replicas.

    They are part of the cluster's template, so a change makes KubeRay prepare a new cluster. Within a running cluster
    a replacement replica would find no free worker.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.

    Returns
    -------
    dict
        The settings by name.
    """
    return {
        "args": ARGUMENTS,
        "actor": _build_actor(owner),
        "ingress": INGRESS_ACTOR,
        "builders": [BUILD, BUILD_CANARY],
    }


def _build_synthesizer(owner: Owner, config: SynthesizerConfig, least: int, ongoing: int) -> Object:
    """Return the deployment of the replicas, each of which takes `ongoing` requests at once."""
    serving = owner.spec.serving
    return {
        "name": "Synthesizer",
        "max_ongoing_requests": ongoing,
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
        "ray_actor_options": _build_actor(owner),
        "user_config": config.to_user_config(),
    }


def _build_ingress(owner: Owner, config: IngressConfig) -> Object:
    """Return the ingress deployment. Its user_config (traffic split, response cache, access) is swapped in place."""
    serving = owner.spec.serving
    cache, expose, clients = serving.cache, serving.expose, serving.clients
    common = {
        "cache": CacheConfig(megabytes=cache.megabytes, ttl_seconds=cache.ttl_seconds, redis_url=cache.redis_url),
        "access": AccessConfig(
            keys_file=Path(KEYS_DIR) / expose.auth.key if expose.auth else None,
            requests_per_minute=expose.requests_per_minute,
            cors_origins=expose.cors_origins,
        ),
        "clients": ClientsConfig(
            aliases={
                other: AliasConfig(voice=config.default, speaker=alias.speaker, emotion=alias.emotion)
                for other, alias in clients.voice_aliases.items()
            },
            unknown_voice=clients.unknown_voice,
            silent_text=clients.silent_text,
        ),
        "queue": QueueConfig(requests=serving.max_queued_requests, seconds=serving.queue_seconds),
    }
    return {
        "name": INGRESS,
        "max_surge_percent": 100,
        "graceful_shutdown_timeout_s": DRAIN_SECONDS,
        "ray_actor_options": INGRESS_ACTOR,
        "user_config": config.model_copy(update=common).to_user_config(),
    }


def _build_application(name: str, route: str | None, builder: str, deployments: list[Object]) -> Object:
    return {
        "name": name,
        "route_prefix": route,
        "import_path": builder,
        "args": dict(ARGUMENTS),
        "deployments": deployments,
    }


def _build_config(applications: list[Object]) -> Object:
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": HTTP_PORT},  # noqa: S104  # a pod's own address
        "applications": applications,
    }


def serve_config(model: VoiceModel, traffic: TrafficSplit) -> Object:
    """Render the Ray Serve config (`serveConfigV2`) of a voice.

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
    serving, storage, name = model.spec.serving, model.spec.storage, model.metadata.name
    reached = StorageConfig(endpoint=storage.endpoint, region=storage.region, path_style=storage.path_style)

    def build(bundle: BundleRef, least: int) -> Object:
        voice = VoiceConfig(name=name, revision=bundle.revision, uri=bundle.uri, storage=reached)
        config = SynthesizerConfig(voices=(voice,), default=name, threads=serving.replica.threads)
        ongoing = max(1, round(ONGOING_HEADROOM * serving.target_ongoing_requests))
        return _build_synthesizer(model, config, least, ongoing)

    canary = traffic.canary
    ingress = IngressConfig(
        canary=canary and CanaryConfig(application=CANARY_APPLICATION, revision=canary.revision, weight=traffic.weight),
        voices={name: traffic.stable.revision},
        default=name,
    )
    deployments = [_build_ingress(model, ingress), build(traffic.stable, serving.min_replicas)]
    applications = [_build_application(APPLICATION, "/", BUILD, deployments)]
    if canary is not None:
        applications.append(_build_application(CANARY_APPLICATION, None, BUILD_CANARY, [build(canary, 1)]))
    return _build_config(applications)


def serve_pool_config(pool: VoicePool, voices: Sequence[VoiceConfig]) -> Object:
    """Render the Ray Serve config (`serveConfigV2`) of a pool.

    A change of its voices changes a `user_config`, which Ray swaps in place.

    Parameters
    ----------
    pool
        The VoicePool.
    voices
        Its voices, at least one.

    Returns
    -------
    dict
        The config as Ray Serve's REST API takes it.
    """
    residency, names = pool.spec.residency, {voice.name for voice in voices}
    default = pool.spec.default_voice if pool.spec.default_voice in names else voices[0].name
    config = SynthesizerConfig(
        voices=tuple(voices),
        default=default,
        threads=pool.spec.serving.replica.threads,
        residency=ResidencyConfig(
            memory_megabytes=residency.memory_megabytes,
            keep=tuple(name for name in residency.keep if name in names),
            idle_seconds=residency.idle_seconds,
        ),
    )
    ingress = IngressConfig(voices={voice.name: voice.revision for voice in voices}, default=default)
    synthesizer = _build_synthesizer(pool, config, pool.spec.serving.min_replicas, POOL_ONGOING_REQUESTS)
    return _build_config([_build_application(APPLICATION, "/", BUILD, [_build_ingress(pool, ingress), synthesizer])])
