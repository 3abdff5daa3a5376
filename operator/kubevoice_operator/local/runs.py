"""What `kubevoice up` does or did last for a VoiceModel, so that the status is true after Ctrl-C or an error, too."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from kubevoice.errors import KubeVoiceError, StorageError
from kubevoice.resources.conditions import Condition, ConditionType, Reason, State, find_condition, with_condition
from kubevoice.resources.stages import Progress, Stage
from kubevoice.resources.status import Phase, VoiceModelStatus
from kubevoice.validation import CamelModel
from pydantic import ValidationError

from kubevoice_operator.local.files import write_atomically
from kubevoice_operator.local.processes import identify_process

__all__ = ["Activity", "Run", "RunRecord", "apply_run", "read_run"]

Activity = Literal["read", "plan", "prepare", "train", "release", "collect", "serve"]
PHASES = {"prepare": Phase.PREPARING, "train": Phase.TRAINING, "release": Phase.RELEASING, "serve": Phase.ROLLING_OUT}
WORDS = {"read": "reading the dataset", "plan": "kubevoice up", "serve": "the start of the replicas"}
"""Names of activities that are no stage."""


class Run(CamelModel):
    """One `kubevoice up`: its process, the command that repeats it, and what it does."""

    pid: int
    started: str
    """What `identify_process` returned when it began."""
    command: str
    activity: Activity = "read"
    job: str | None = None
    error: str | None = None
    """Why it failed, if the status does not say it."""
    reason: Reason | None = None
    """The same for programs."""

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.started != "" and identify_process(self.pid) == self.started


class RunRecord:
    """The file that has the run of a VoiceModel: written as it goes on, deleted when it ends as the status says.

    Parameters
    ----------
    path
        The file.
    command
        The command that repeats the run.
    """

    def __init__(self, path: Path, command: str) -> None:
        self._path = path
        self._run = Run(pid=os.getpid(), started=identify_process(os.getpid()), command=command)

    def __enter__(self) -> Self:
        self._write()
        return self

    def begin(self, activity: Activity, job: str | None = None) -> None:
        """Record what begins.

        Parameters
        ----------
        activity
            What the run does from now on.
        job
            The Job that does it, if one does.
        """
        self._run = self._run.model_copy(update={"activity": activity, "job": job})
        self._write()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, KubeVoiceError) and self._run.activity in ("read", "serve"):
            other = Reason.STORAGE_ERROR if isinstance(error, StorageError) else Reason.INVALID_INPUT
            reason = Reason.SERVING_FAILED if self._run.activity == "serve" else other
            self._run = self._run.model_copy(update={"error": str(error), "reason": reason})
            self._write()
        elif error is None or isinstance(error, KubeVoiceError):
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        write_atomically(self._path, self._run.model_dump_json(by_alias=True))


def read_run(path: Path) -> Run | None:
    """Read the record of a run.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Run or None
        None if the last run ended as the status says.
    """
    try:
        return Run.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def apply_run(
    status: VoiceModelStatus, run: Run, progress: Progress | None, served: Sequence[str], now: datetime | None = None
) -> VoiceModelStatus:
    """Return a status as it is now, from the one that was written last and what the run does or did.

    Parameters
    ----------
    status
        As it was written last.
    run
        The run.
    progress
        Progress of its Job, if it has one that reported.
    served
        Revisions that replicas serve now.
    now
        The time of a changed condition; None is this moment.

    Returns
    -------
    VoiceModelStatus
        With progress, phase, and why the voice is not ready.
    """
    if run.activity == "serve" and served and set(served) == {status.serving.target_revision}:
        return status.model_copy(update={"phase": Phase.READY})
    update: dict[str, object] = {"phase": PHASES.get(run.activity, status.phase)}
    if progress is not None:
        update["display"] = status.display.model_copy(update={"progress": f"{progress.percent:.0f}%"})
        if progress.stage is Stage.TRAIN:
            fields = {"step", "percent", "loss", "dev_loss"} | ({"eta_seconds"} if run.alive else set())
            update["training"] = status.training.model_copy(update=progress.model_dump(include=fields))
    if run.error is not None:
        update["phase"] = Phase.FAILED
    before = find_condition(status.conditions, ConditionType.READY)
    reason, message = _explain(run, progress)
    ready = Condition(
        type=ConditionType.READY,
        status=State.FALSE,
        reason=reason,
        message=message,
        observed_generation=before.observed_generation if before else 1,
        last_transition_time=now or datetime.now(UTC),
    )
    return status.model_copy(update=update | {"conditions": with_condition(status.conditions, ready)})


def _explain(run: Run, progress: Progress | None) -> tuple[Reason, str]:
    what = WORDS.get(run.activity, run.activity)
    reached = f" at step {progress.step} of {progress.total} ({progress.percent:g} %)" if progress else ""
    if run.alive:
        return Reason.RUNNING, f"{what} is running{reached.replace(' at', ':', 1)}"
    if run.error is not None and run.reason is not None:
        return run.reason, f"{run.error}; try again with: {run.command}"
    checkpoint = "from its last checkpoint " if run.activity == "train" else ""
    return Reason.INTERRUPTED, f"{what} was interrupted{reached}; continue {checkpoint}with: {run.command}"
