"""Resumes the Jobs that delete the artifacts of deleted VoiceModels."""

import logging

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.render.names import CLEANUP_LABEL

__all__ = ["resume_cleanups"]

logger = logging.getLogger(__name__)


async def resume_cleanups(api: KubernetesApi, cache: ResourceCache) -> None:
    """Resume the cleanup Jobs of VoiceModels that are gone and have no pods any more.

    Such a Job waits suspended while its VoiceModel exists (see `garbage_collection`). It is deleted if a new VoiceModel
    of the same name exists, because that one uses the same artifacts.

    Parameters
    ----------
    api
        The API server.
    cache
        The objects that the watches have shown.

    Raises
    ------
    ApiException, aiohttp.ClientError, OSError, TimeoutError
        If a request fails; the next call resumes what is left.
    """
    for key, job in cache.cleanups():
        meta, model = job["metadata"], cache.owner(key)
        job_key = Key(key.namespace, meta["name"])
        if meta.get("deletionTimestamp") or not job["spec"].get("suspend"):
            continue
        if model is not None and model["metadata"]["uid"] == meta["labels"][CLEANUP_LABEL]:
            continue
        current = await api.get_voice(key)
        if current is not None:
            if current["metadata"]["uid"] != meta["labels"][CLEANUP_LABEL]:
                await api.delete_job(job_key)
        elif not cache.children(key).pods:
            logger.info("deleting the artifacts of a deleted VoiceModel", extra={"voicemodel": key})
            patched = await api.patch_job(job_key, {"spec": {"suspend": False}})
            if patched is not None:
                cache.put(patched)
