"""Which Jobs to create and which to delete. Pure.

A Job is never changed. Its artifacts are stored under its cache key and outlive it, so deleting a Job and creating it
again costs at most the steps since its last checkpoint. Suspending, moving and retrying all work this way.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.observed_state import JobPhase, ObservedJob, ObservedState
from kubevoice_operator.pipeline import Pipeline, PipelineStep
from kubevoice_operator.render.job import pod_template_hash, render_job
from kubevoice_operator.render.names import Images

__all__ = ["RETRYABLE_REASONS", "JobActions", "job_actions", "retry_delay"]

RETRYABLE_REASONS = ("StorageError", "Stopped", "Killed", "BadResult")
"""Failures that can pass without a change of the VoiceModel; any other would only happen again."""
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 10, 600


@dataclass(frozen=True, slots=True)
class JobActions:
    """Jobs to create and names of Jobs to delete; `recheck_seconds` is the time until a failed one is retried."""

    create: tuple[dict[str, Any], ...] = ()
    delete: tuple[str, ...] = ()
    recheck_seconds: float | None = None


def retry_delay(attempts: int) -> float:
    """Return the seconds to wait after `attempts` failures: exponential back-off from 10 to 600 s.

    Parameters
    ----------
    attempts
        Failures so far, at least 1.

    Returns
    -------
    float
        Seconds.
    """
    return float(min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (attempts - 1)))


def _seconds_to_retry(model: VoiceModel, step: PipelineStep, job: ObservedJob, now: datetime) -> float | None:
    """Return the seconds until a Job without a usable result is retried; None if it is not."""
    if job.failure().reason not in RETRYABLE_REASONS:
        return None
    failure = model.status.last_failure
    if failure is None or failure.job_name != step.job_name:
        return retry_delay(1)
    return retry_delay(failure.attempts) - (now - failure.time).total_seconds()


def _list_obsolete(observed: ObservedState, pipeline: Pipeline) -> list[str]:
    """List Jobs of inputs that are no longer wanted: active ones at once, others when the new revision is released."""
    desired = {step.job_name for step in pipeline.steps}
    return [
        name
        for name, job in observed.jobs.items()
        if name not in desired
        and job.stage is not None
        and job.stage is not Stage.COLLECT
        and not job.deleting
        and (job.active or pipeline.released is not None)
    ]


def job_actions(  # noqa: PLR0911  # one case each
    model: VoiceModel, pipeline: Pipeline, observed: ObservedState, now: datetime, images: Images
) -> JobActions:
    """Decide which Jobs of a VoiceModel to create and delete.

    Parameters
    ----------
    model
        The VoiceModel.
    pipeline
        Its stages; the last step is the one to act on.
    observed
        The Jobs that exist.
    now
        The time of this reconciliation, for the back-off.
    images
        Images used where the spec names none.

    Returns
    -------
    JobActions
        What to create and delete, and when to reconcile again.
    """
    obsolete, step = _list_obsolete(observed, pipeline), pipeline.last
    job, suspended = step.job, model.spec.training.suspend
    no_change = JobActions(delete=tuple(obsolete))
    if job is None:
        if suspended:
            return no_change
        return JobActions((render_job(model, step.stage, step.spec, step.job_name, images),), no_change.delete)
    if job.deleting or (pipeline.released is not None and step.stage is Stage.RELEASE):
        return no_change
    recreate = JobActions(delete=(*obsolete, step.job_name))
    template_changed = job.template_hash is not None and job.template_hash != pod_template_hash(model, step.stage)
    if job.active:
        return recreate if suspended or template_changed else no_change
    if job.phase is JobPhase.FAILED and template_changed:
        return recreate
    if suspended or (seconds_left := _seconds_to_retry(model, step, job, now)) is None:
        return no_change
    return recreate if seconds_left <= 0 else JobActions(delete=no_change.delete, recheck_seconds=seconds_left)
