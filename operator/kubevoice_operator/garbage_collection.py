"""Garbage collection of artifacts with deletionPolicy Delete: pruned revisions, and whole voices after deletion. Pure.

The operator has no credentials of the storage, so a Job deletes the artifacts. The Job for the whole voice is created
while the VoiceModel exists, suspended and without an owner, and is resumed once the VoiceModel is gone. So no finalizer
is needed: a VoiceModel can be deleted while the operator or the storage is down.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubevoice.digests import short_hash
from kubevoice.resources.stages import CollectSpec, Stage
from kubevoice.resources.status import Revision
from kubevoice.resources.voicemodel import DeletionPolicy, VoiceModel

from kubevoice_operator.observed_state import JobPhase, ObservedState
from kubevoice_operator.pipeline import Pipeline, voice_folder, voice_storage
from kubevoice_operator.render.job import QUEUE_LABEL, pod_template_hash, render_job
from kubevoice_operator.render.names import CLEANUP_LABEL, VOICE_LABEL, Images
from kubevoice_operator.revisions import prunable_artifacts, retained_revisions

__all__ = ["PruningPlan", "cleanup_name", "plan_pruning"]

RETRY_SECONDS = 600.0
KEEP_SECONDS = 3600
"""How long a finished cleanup Job is kept, so that its log can be read."""


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """Jobs to create and delete, and the revisions that stay in the history."""

    create: tuple[dict[str, Any], ...]
    delete: tuple[str, ...]
    revisions: tuple[Revision, ...]
    recheck_seconds: float | None = None


def cleanup_name(model: VoiceModel) -> str:
    """Return the name of the Job that deletes the whole voice; it contains the UID of the VoiceModel.

    Parameters
    ----------
    model
        The VoiceModel.

    Returns
    -------
    str
        The Job's name.
    """
    return f"{model.metadata.name}-cleanup-{model.metadata.uid[:8]}"


def _render_cleanup(model: VoiceModel, images: Images) -> dict[str, Any]:
    spec = CollectSpec(storage=model.spec.storage, prefixes=(voice_folder(model),))
    job = render_job(model, Stage.COLLECT, spec, cleanup_name(model), images)
    job["metadata"].pop("ownerReferences", None)
    # Without the voice's label: this Job starts when nothing with that label is left.
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        labels.pop(VOICE_LABEL)
        labels.pop(QUEUE_LABEL, None)  # Kueue would admit it at once
        labels[CLEANUP_LABEL] = model.metadata.uid
    job["spec"] |= {"suspend": True, "ttlSecondsAfterFinished": KEEP_SECONDS}
    return job


def plan_pruning(
    model: VoiceModel,
    pipeline: Pipeline,
    observed: ObservedState,
    revisions: tuple[Revision, ...],
    images: Images,
    now: datetime,
) -> PruningPlan:
    """Decide which artifacts to delete. A revision stays in the history until its artifacts are deleted.

    Parameters
    ----------
    model
        The VoiceModel.
    pipeline
        How far the stages of the wanted revision are.
    observed
        The Jobs that exist.
    revisions
        The revision history, the newest first.
    images
        Images used where the VoiceModel names none.
    now
        Time of this reconciliation.

    Returns
    -------
    PruningPlan
        The Job to create, if any, and the history that is left.
    """
    create: list[dict[str, Any]] = []
    delete: list[str] = []
    deletes_voice = model.spec.deletion_policy is DeletionPolicy.DELETE and bool(model.metadata.uid)
    cleanup = observed.jobs.get(cleanup_name(model))
    if deletes_voice and cleanup is None:
        create.append(_render_cleanup(model, images))
    # It waits suspended, so it is recreated when image, credentials or placement change meanwhile.
    template_hash = pod_template_hash(model, Stage.COLLECT)
    template_changed = cleanup is not None and cleanup.template_hash not in (None, template_hash)
    if cleanup is not None and not cleanup.deleting and (template_changed or not deletes_voice):
        delete.append(cleanup_name(model))
    paths = prunable_artifacts(model, pipeline, revisions)
    if not paths:
        done = [n for n, j in observed.jobs.items() if j.stage is Stage.COLLECT and n != cleanup_name(model)]
        delete += [name for name in done if not observed.jobs[name].active and not observed.jobs[name].deleting]
        return PruningPlan(tuple(create), tuple(delete), retained_revisions(model, revisions))
    name = f"{model.metadata.name}-collect-{short_hash('|'.join(paths), 10)}"
    job = observed.jobs.get(name)
    if job is None:
        spec = CollectSpec(storage=voice_storage(model), prefixes=paths)
        create.append(render_job(model, Stage.COLLECT, spec, name, images))
    elif job.phase is JobPhase.SUCCEEDED:
        return PruningPlan(tuple(create), tuple(delete), retained_revisions(model, revisions))
    elif job.phase is JobPhase.FAILED and job.finished_at is not None:
        seconds_left = RETRY_SECONDS - (now - job.finished_at).total_seconds()
        if seconds_left > 0:
            return PruningPlan(tuple(create), tuple(delete), revisions, seconds_left)
        delete.append(name)
    return PruningPlan(tuple(create), tuple(delete), revisions)
