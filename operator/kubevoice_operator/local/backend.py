"""The local backend: observe, plan, apply, until the voice serves or a stage fails."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.stages import Progress, Stage
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel
from pydantic import ValidationError

from kubevoice_operator.local.contents import hash_inputs
from kubevoice_operator.local.files import exclusive, write_atomically
from kubevoice_operator.local.jobs import LocalJobs
from kubevoice_operator.local.ray_serve import LocalServing
from kubevoice_operator.local.runs import RunRecord, apply_run, read_run
from kubevoice_operator.observed_state import JobPhase, ObservedState
from kubevoice_operator.pipeline import PipelineStep
from kubevoice_operator.planner import Plan, plan
from kubevoice_operator.render.names import Images

__all__ = ["LocalBackend", "UpCallbacks", "stage_error"]


@dataclass(frozen=True, slots=True)
class UpCallbacks:
    """Callbacks for the progress of `LocalBackend.up`."""

    stage_started: Callable[[Stage], None] = lambda _stage: None
    progress: Callable[[Progress], None] = lambda _progress: None
    stage_done: Callable[[PipelineStep], None] = lambda _step: None
    serving_started: Callable[[], None] = lambda: None


class LocalBackend:
    """VoiceModels on this machine.

    Parameters
    ----------
    home
        The folder of all their state.
    port
        The port on which voices are served.
    """

    def __init__(self, home: Path, port: int) -> None:
        self._home = home
        self._jobs = LocalJobs(home / "jobs")
        self.serving = LocalServing(home / "serving", port)

    def status(self, name: str) -> VoiceModelStatus:
        """Read the status of a VoiceModel: what was written last, and what `up` does now or did last.

        Parameters
        ----------
        name
            The VoiceModel's name.

        Returns
        -------
        VoiceModelStatus
            Empty if there is none that can be read.
        """
        status, run = self._read_status(name), read_run(self._run_file(name))
        if run is None:
            return status
        serving = self.serving.observe() if run.activity == "serve" else None
        served = [replica.voices.get(name, "") for replica in (serving.replicas if serving else ())]
        return apply_run(status, run, self._jobs.progress(run.job) if run.job else None, served)

    def _read_status(self, name: str) -> VoiceModelStatus:
        """Return the status that was written last."""
        try:
            return VoiceModelStatus.model_validate_json((self._home / "status" / f"{name}.json").read_bytes())
        except (OSError, ValidationError):
            return VoiceModelStatus()

    def _run_file(self, name: str) -> Path:
        return self._home / "runs" / f"{name}.json"

    def model(self, name: str) -> VoiceModel:
        """Read a VoiceModel as it was last brought up.

        Parameters
        ----------
        name
            The VoiceModel's name.

        Returns
        -------
        VoiceModel
            As it was saved.

        Raises
        ------
        InputError
            If it was never brought up, or cannot be read.
        """
        try:
            return VoiceModel.model_validate_json(self._model_file(name).read_bytes())
        except (OSError, ValidationError):
            raise InputError(
                f"there is no VoiceModel {name!r} here that can be brought up again; run kubevoice up -f FILE"
            ) from None

    def save_model(self, model: VoiceModel) -> None:
        """Save a VoiceModel, so that it can be brought up again by name.

        Parameters
        ----------
        model
            The VoiceModel.
        """
        write_atomically(self._model_file(model.metadata.name), model.model_dump_json(by_alias=True, indent=1))

    def _model_file(self, name: str) -> Path:
        return self._home / "models" / f"{name}.json"

    def names(self) -> list[str]:
        """List the VoiceModels that were ever brought up here.

        Returns
        -------
        list of str
            Their names, sorted.
        """
        return sorted({path.stem for folder in ("status", "runs") for path in (self._home / folder).glob("*.json")})

    def up(self, model: VoiceModel, callbacks: UpCallbacks, command: str = "kubevoice up -f FILE") -> VoiceModelStatus:
        """Bring a VoiceModel up and wait until every replica serves it; finished stages are reused.

        Parameters
        ----------
        model
            The VoiceModel.
        callbacks
            Called as stages start, progress and end.
        command
            What a user runs to continue if this is interrupted.

        Returns
        -------
        VoiceModelStatus
            The status once the voice serves, or is suspended.

        Raises
        ------
        InputError
            For bad input.
        KubeVoiceError
            For anything else that keeps the voice from being served.
        """
        with exclusive(self._home), RunRecord(self._run_file(model.metadata.name), command) as record:
            # Here one Ray serves everything, so there are no pools.
            model = _remove_pool(model)
            self._jobs.forget_failures()
            (self._home / "serving").mkdir(parents=True, exist_ok=True)
            contents = hash_inputs(model, self._home / "digests")
            while True:
                record.begin("plan")
                desired = self._plan(model, contents)
                if desired.jobs:
                    self._run_jobs(desired, callbacks, record)
                elif (job := desired.pipeline.last.job) is not None and job.phase is JobPhase.FAILED:
                    raise stage_error(desired.pipeline.last, self._jobs.log(desired.pipeline.last.job_name))
                elif desired.service is not None:
                    record.begin("serve")
                    callbacks.serving_started()
                    self.serving.apply(desired.service)
                else:
                    return self._wait(model, desired, contents, record)

    def _plan(self, model: VoiceModel, contents: str) -> Plan:
        """Observe, plan, and write the status."""
        model = model.model_copy(update={"status": self._read_status(model.metadata.name)})
        observed = ObservedState(contents, self._jobs.observe(), self.serving.observe(), retries=False)
        desired = plan(model, observed, datetime.now(UTC), Images())
        body = desired.status.model_dump_json(by_alias=True, indent=1)
        write_atomically(self._home / "status" / f"{model.metadata.name}.json", body)
        return desired

    def _run_jobs(self, desired: Plan, callbacks: UpCallbacks, record: RunRecord) -> None:
        last = desired.pipeline.last
        for job in desired.jobs:
            is_step = job["metadata"]["name"] == last.job_name
            if is_step:
                record.begin(last.stage.value, last.job_name)
                callbacks.stage_started(last.stage)
            observed = self._jobs.run_job(job, callbacks.progress)
            if is_step and observed.phase is JobPhase.SUCCEEDED:
                callbacks.stage_done(PipelineStep(last.stage, last.spec, last.job_name, observed))

    def _wait(self, model: VoiceModel, desired: Plan, contents: str, record: RunRecord) -> VoiceModelStatus:
        target = desired.status.serving.target_revision
        if model.spec.serving.suspend or (model.spec.training.suspend and target is None):
            if desired.remove_service:
                self.serving.stop()
            return desired.status
        if target is None:
            released = desired.pipeline.released
            why = "; ".join(released.failures) if released else "nothing was released"
            raise KubeVoiceError(f"the quality gate refused the voice: {why}; see spec.evaluation")
        record.begin("serve")
        self.serving.wait(model.metadata.name, target, model.spec.serving.rollout.progress_deadline_seconds)
        return self._plan(model, contents).status

    def down(self) -> bool:
        """Stop serving; artifacts and results stay.

        Returns
        -------
        bool
            Whether anything ran.
        """
        with exclusive(self._home):
            return self.serving.stop()


def stage_error(step: PipelineStep, log: Path) -> KubeVoiceError:
    """Return the error of a failed step: the container's message, and all problems that its log lists.

    Parameters
    ----------
    step
        The step that failed.
    log
        The file with its output.

    Returns
    -------
    KubeVoiceError
        An InputError if trying again is useless.
    """
    if step.job is None:
        return KubeVoiceError(f"{step.stage} did not run")
    failure = step.job.failure()
    first, *rest = failure.message.splitlines() or [failure.reason]
    if rest and rest[-1].endswith("the log has them all"):
        rest = _read_problems(log) or rest
    if step.job.exit_code == InputError.exit_code:
        return InputError(first, rest)
    return KubeVoiceError("\n".join([f"{step.stage} failed: {first} (log: {log})", *rest]))


def _read_problems(log: Path) -> list[str]:
    """Return the indented lines after the log's last `error:`."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = text[text.rfind("\nerror: ") + 1 :].splitlines()[1:]
    return [line.strip() for line in lines if line.startswith("  ")]


def _remove_pool(model: VoiceModel) -> VoiceModel:
    serving = model.spec.serving.model_copy(update={"pool_ref": None})
    return model.model_copy(update={"spec": model.spec.model_copy(update={"serving": serving})})
