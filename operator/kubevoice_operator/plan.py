"""Deciding: from a VoiceModel and what is there to the objects that should be there and the status to show.

Pure: the same input gives the same plan, whoever applies it, however often.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubevoice.resources.stages import Verdict
from kubevoice.resources.status import RevisionState, VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.chain import Chain, walk
from kubevoice_operator.observe import Observed
from kubevoice_operator.render.job import render_job
from kubevoice_operator.render.names import Images, content_hash
from kubevoice_operator.render.rayservice import Bundle, Traffic, render_rayservice
from kubevoice_operator.status import Target, describe

__all__ = ["Plan", "plan"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: Jobs to create, the RayService to apply (if it must change) or remove, and the status to show."""

    jobs: tuple[Object, ...]
    service: Object | None
    remove_service: bool
    status: VoiceModelStatus
    chain: Chain


def _bundle_uri(model: VoiceModel, revision: str) -> str:
    return f"{model.spec.storage.artifacts_uri.rstrip('/')}/bundles/{revision.removeprefix('sha256:')}"


def _target(model: VoiceModel, chain: Chain) -> Target | None:
    """Choose the revision to serve: the pinned one, the newest that may serve, or the one that served before."""
    if (pinned := model.spec.revision) is not None:
        return Target(pinned, _bundle_uri(model, pinned), pinned=True)
    released = chain.released
    if released is not None and released.verdict is not Verdict.FAILED:
        return Target(released.revision, released.uri)
    for revision in model.status.revisions:
        if revision.state is RevisionState.SERVING:
            return Target(revision.digest, revision.uri)
    return None


def plan(model: VoiceModel, observed: Observed, now: datetime, images: Images) -> Plan:
    """Decide what to do next about `model`."""
    chain = walk(model, observed)
    jobs: tuple[Object, ...] = ()
    if chain.last.job is None and not model.spec.training.suspend:
        jobs = (render_job(model, chain.last.stage, chain.last.spec, chain.last.job_name, images),)
    target = _target(model, chain)
    service = None
    if target is not None and not model.spec.serving.suspend:
        wanted = render_rayservice(model, Traffic(Bundle(target.revision, target.uri)), images)
        if observed.service is None or observed.service.applied != content_hash(wanted):
            service = wanted
    return Plan(
        jobs=jobs,
        service=service,
        remove_service=model.spec.serving.suspend and observed.service is not None,
        status=describe(model, chain, observed, target, now),
        chain=chain,
    )
