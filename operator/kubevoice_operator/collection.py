"""Deleting artifacts, with deletionPolicy Delete: of forgotten revisions, and of a voice that is gone. Pure.

The operator has no credentials of the storage, so a Job does it. The Job for the whole voice is made while the
VoiceModel exists, suspended and owned by nobody, and released once the VoiceModel is gone: no finalizer is needed,
so a VoiceModel can be deleted whether or not the operator or the storage is alive.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubevoice.digests import short_hash
from kubevoice.resources.stages import CollectSpec, Stage
from kubevoice.resources.status import Revision
from kubevoice.resources.voicemodel import DeletionPolicy, VoiceModel

from kubevoice_operator.chain import Chain, voice_folder, voice_storage
from kubevoice_operator.observe import JobPhase, Observed
from kubevoice_operator.render.job import QUEUE_LABEL, render_job, shape
from kubevoice_operator.render.names import CLEANUP_LABEL, VOICE_LABEL, Images
from kubevoice_operator.revisions import removable, within_limit

__all__ = ["Collection", "cleanup_name", "collect"]

RETRY_SECONDS = 600.0
KEEP_SECONDS = 3600
"""How long a finished cleanup stays for people to read its log."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Jobs to create and delete, and the revisions that stay in the history."""

    create: tuple[dict[str, Any], ...]
    delete: tuple[str, ...]
    revisions: tuple[Revision, ...]
    recheck_seconds: float | None = None


def cleanup_name(model: VoiceModel) -> str:
    """Return the name of the Job that deletes the whole voice; another VoiceModel of the same name has another."""
    return f"{model.metadata.name}-cleanup-{model.metadata.uid[:8]}"


def _cleanup(model: VoiceModel, images: Images) -> dict[str, Any]:
    spec = CollectSpec(storage=model.spec.storage, prefixes=(voice_folder(model),))
    job = render_job(model, Stage.COLLECT, spec, cleanup_name(model), images)
    job["metadata"].pop("ownerReferences", None)
    # Not the voice's own label: its pods and Jobs are counted until they are gone, and this one comes after.
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        labels.pop(VOICE_LABEL)
        labels.pop(QUEUE_LABEL, None)  # Kueue would admit it at once
        labels[CLEANUP_LABEL] = model.metadata.uid
    job["spec"] |= {"suspend": True, "ttlSecondsAfterFinished": KEEP_SECONDS}
    return job


def collect(
    model: VoiceModel, chain: Chain, observed: Observed, revisions: tuple[Revision, ...], images: Images, now: datetime
) -> Collection:
    """Decide what may be deleted; revisions stay in the history until what they rest on is gone."""
    create: list[dict[str, Any]] = []
    delete: list[str] = []
    wanted = model.spec.deletion_policy is DeletionPolicy.DELETE and bool(model.metadata.uid)
    there = observed.jobs.get(cleanup_name(model))
    if wanted and there is None:
        create.append(_cleanup(model, images))
    # It waits for the end of the voice, so it is made anew when the storage is reached in another way.
    moved = there is not None and there.shape is not None and there.shape != shape(model, Stage.COLLECT)
    if there is not None and not there.deleting and (moved or not wanted):
        delete.append(cleanup_name(model))
    paths = removable(model, chain, revisions)
    if not paths:
        done = [n for n, j in observed.jobs.items() if j.stage is Stage.COLLECT and n != cleanup_name(model)]
        delete += [name for name in done if not observed.jobs[name].active and not observed.jobs[name].deleting]
        return Collection(tuple(create), tuple(delete), within_limit(model, revisions))
    name = f"{model.metadata.name}-collect-{short_hash('|'.join(paths), 10)}"
    job = observed.jobs.get(name)
    if job is None:
        spec = CollectSpec(storage=voice_storage(model), prefixes=paths)
        create.append(render_job(model, Stage.COLLECT, spec, name, images))
    elif job.phase is JobPhase.SUCCEEDED:
        return Collection(tuple(create), tuple(delete), within_limit(model, revisions))
    elif job.phase is JobPhase.FAILED and job.finished_at is not None:
        left = RETRY_SECONDS - (now - job.finished_at).total_seconds()
        if left > 0:
            return Collection(tuple(create), tuple(delete), revisions, left)
        delete.append(name)
    return Collection(tuple(create), tuple(delete), revisions)
