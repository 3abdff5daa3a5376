"""Which voices a pool has, and which replicas serve a voice while it moves into a pool or out of it. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from kubevoice.resources.data_plane import ReplicaState, StorageConfig, VoiceConfig
from kubevoice.resources.serving import PoolRef
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.observed_state import ObservedService, ObservedState
from kubevoice_operator.rollout import bundle_uri

__all__ = ["choose_service", "list_voices", "narrow_service", "serving_pool"]


def _serves(service: ObservedService | None, voice: str) -> bool:
    return service is not None and any(voice in replica.voices for replica in service.replicas)


def _list_services(model: VoiceModel, observed: ObservedState) -> list[ObservedService | None]:
    """List the RayServices that may serve a voice: first the one that the spec asks for."""
    pool = observed.pool.service if observed.pool else None
    previous = observed.previous_pool.service if observed.previous_pool else None
    own = observed.service
    return [pool, own, previous] if model.spec.serving.pool_ref else [own, previous]


def choose_service(model: VoiceModel, observed: ObservedState) -> ObservedService | None:
    """Choose the replicas that a voice has: those that the spec asks for, or those that serve it until then.

    Parameters
    ----------
    model
        The VoiceModel.
    observed
        Its own RayService, and the pools that it belongs to.

    Returns
    -------
    ObservedService or None
        Not settled while others than those of the spec serve the voice.
    """
    wanted, *others = _list_services(model, observed)
    if not _serves(wanted, model.metadata.name):
        for other in others:
            if other is not None and _serves(other, model.metadata.name):
                return replace(other, settled=False)
    return wanted


def serving_pool(model: VoiceModel, observed: ObservedState) -> str | None:
    """Return the pool that a voice belongs to from now on, for status.serving.pool.

    A pool that served the voice last goes on until what the spec asks for serves it.

    Parameters
    ----------
    model
        The VoiceModel with its status as it was written last.
    observed
        What `choose_service` was given, with its choice as the service.

    Returns
    -------
    str or None
        Name of the VoicePool; None if it is served by none.
    """
    if model.spec.serving.suspend:
        return None
    previous, ref = observed.previous_pool, model.spec.serving.pool_ref
    moving = observed.service is not None and not observed.service.settled
    if previous is not None and moving and _serves(previous.service, model.metadata.name):
        return previous.name
    return ref.name if ref else None


def narrow_service(service: ObservedService, voice: str, min_replicas: int) -> ObservedService:
    """Return a pool's RayService as one of its voices sees it.

    Parameters
    ----------
    service
        The pool's RayService.
    voice
        Name of the voice.
    min_replicas
        Replicas of the pool that always run.

    Returns
    -------
    ObservedService
        Its replicas have this voice alone, and as their error why this voice cannot be loaded.
    """
    replicas = tuple(
        ReplicaState(
            replica=replica.replica,
            voices={voice: revision} if (revision := _find_revision(replica, voice)) else {},
            error=replica.errors.get(voice, replica.error),
        )
        for replica in service.replicas
    )
    return replace(service, replicas=replicas, traffic={}, min_replicas=min_replicas)


def _find_revision(replica: ReplicaState, voice: str) -> str | None:
    """Return the revision that answers: a loaded one goes on while another cannot be loaded."""
    loaded = replica.resident.voices if replica.resident else {}
    return replica.voices.get(voice, loaded.get(voice))


def list_voices(pool: str, models: Iterable[VoiceModel]) -> tuple[VoiceConfig, ...]:
    """List the voices that a pool serves.

    Parameters
    ----------
    pool
        Name of the VoicePool.
    models
        VoiceModels of its namespace with their status as it was written last.

    Returns
    -------
    tuple of VoiceConfig
        By name: those of VoiceModels that name the pool, or that it served last and nothing else serves yet.
    """
    voices = (_build_voice(model) for model in models if _belongs_to(model, pool))
    return tuple(sorted((voice for voice in voices if voice is not None), key=lambda voice: voice.name))


def _belongs_to(model: VoiceModel, pool: str) -> bool:
    ref = model.spec.serving.pool_ref
    return not model.spec.serving.suspend and pool in (ref.name if ref else None, model.status.serving.pool)


def _build_voice(model: VoiceModel) -> VoiceConfig | None:
    """Return the voice with its target revision; None before there is one."""
    if (target := model.status.serving.target_revision) is None:
        return None
    storage, limits = model.spec.storage, model.spec.serving.pool_ref or PoolRef(name="none")
    released = (revision.uri for revision in model.status.revisions if revision.digest == target and revision.uri)
    return VoiceConfig(
        name=model.metadata.name,
        revision=target,
        uri=next(released, bundle_uri(model, target)),
        storage=StorageConfig(endpoint=storage.endpoint, region=storage.region, path_style=storage.path_style),
        max_streams=limits.max_streams,
        max_queued=limits.max_queued,
    )
