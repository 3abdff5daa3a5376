"""Which Jobs to make and which to remove. Pure.

A Job is made once and never changed. What it makes is named by its key and survives it, so removing a Job and making
it again costs at most the steps since its last checkpoint; that is how holding, moving and trying again work.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.chain import Chain, Step
from kubevoice_operator.observe import JobObservation, JobPhase, Observed
from kubevoice_operator.render.job import render_job, shape
from kubevoice_operator.render.names import Images

__all__ = ["WORTH_RETRYING", "JobActions", "job_actions", "retry_delay"]

WORTH_RETRYING = ("StorageError", "Stopped", "Killed", "BadResult")
"""What may be mended outside the VoiceModel; anything else would only fail again."""
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 10, 600


@dataclass(frozen=True, slots=True)
class JobActions:
    """Jobs to create and names of Jobs to delete; `recheck_seconds` is when a failed one is tried again."""

    create: tuple[dict[str, Any], ...] = ()
    delete: tuple[str, ...] = ()
    recheck_seconds: float | None = None


def retry_delay(attempts: int) -> float:
    """Return how long to wait after `attempts` failures: doubling, to a limit."""
    return float(min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (attempts - 1)))


def _retry_in(model: VoiceModel, step: Step, job: JobObservation, now: datetime) -> float | None:
    """Return the seconds until a Job without a usable result is tried again; None if it is not."""
    if job.failure().reason not in WORTH_RETRYING:
        return None
    failure = model.status.last_failure
    if failure is None or failure.job_name != step.job_name:
        return retry_delay(1)
    return retry_delay(failure.attempts) - (now - failure.time).total_seconds()


def _obsolete(observed: Observed, chain: Chain) -> list[str]:
    """List Jobs of inputs that are no longer wanted: running ones at once, others when their successors are done."""
    wanted = {step.job_name for step in chain.steps}
    return [
        name
        for name, job in observed.jobs.items()
        if name not in wanted
        and job.stage is not None
        and job.stage is not Stage.COLLECT
        and not job.deleting
        and (job.active or chain.released is not None)
    ]


def job_actions(  # noqa: PLR0911  # one case each
    model: VoiceModel, chain: Chain, observed: Observed, now: datetime, images: Images
) -> JobActions:
    """Decide about the Jobs of `model`."""
    obsolete, step = _obsolete(observed, chain), chain.last
    job, held = step.job, model.spec.training.suspend
    done = JobActions(delete=tuple(obsolete))
    if job is None:
        if held:
            return done
        return JobActions((render_job(model, step.stage, step.spec, step.job_name, images),), done.delete)
    if job.deleting or (chain.released is not None and step.stage is Stage.RELEASE):
        return done
    again = JobActions(delete=(*obsolete, step.job_name))
    moved = job.shape is not None and job.shape != shape(model, step.stage)
    if job.active:
        return again if held or moved else done
    if job.phase is JobPhase.FAILED and moved:
        return again
    if held or (left := _retry_in(model, step, job, now)) is None:
        return done
    return again if left <= 0 else JobActions(delete=done.delete, recheck_seconds=left)
