"""The local backend: observe, plan, apply, until the voice serves or a stage fails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.data_plane import VoiceConfig
from kubevoice.resources.stages import Progress, Stage
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel
from kubevoice.resources.voicepool import VoicePool

from kubevoice_operator.local.contents import hash_inputs
from kubevoice_operator.local.files import exclusive
from kubevoice_operator.local.jobs import LocalJobs
from kubevoice_operator.local.local_pool import find_target, is_suspended, set_pool
from kubevoice_operator.local.ray_serve import LocalServing
from kubevoice_operator.local.runs import RunRecord, apply_run, read_run
from kubevoice_operator.local.state import Group, LocalState
from kubevoice_operator.observed_state import JobPhase, ObservedPool, ObservedState
from kubevoice_operator.pipeline import PipelineStep
from kubevoice_operator.planner import Plan, plan
from kubevoice_operator.pool_membership import list_voices, narrow_service
from kubevoice_operator.pool_planner import plan_pool
from kubevoice_operator.render.names import Images

__all__ = ["LocalBackend", "UpCallbacks", "stage_error"]


@dataclass(frozen=True, slots=True)
class UpCallbacks:
    """Callbacks for the progress of `LocalBackend.up` and `LocalBackend.up_pool`."""

    model_started: Callable[[VoiceModel], None] = lambda _model: None
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
        self.state = LocalState(home)
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
        status, run = self.state.read_status(name), read_run(self.state.run_file(name))
        if run is None:
            return status
        serving = self.serving.observe() if run.activity == "serve" else None
        served = [replica.voices.get(name, "") for replica in (serving.replicas if serving else ())]
        return apply_run(status, run, self._jobs.progress(run.job) if run.job else None, served)

    def up(self, model: VoiceModel, callbacks: UpCallbacks, command: str = "kubevoice up -f FILE") -> VoiceModelStatus:
        """Bring a VoiceModel up and wait until every replica serves it; finished stages are reused.

        Parameters
        ----------
        model
            The VoiceModel. A pool that it names is ignored.
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
        with exclusive(self._home), RunRecord(self.state.run_file(model.metadata.name), command) as record:
            model = set_pool(model, None)
            contents = self._prepare(model)
            while (desired := self._run_pipeline(model, contents, callbacks, record)).service is not None:
                record.begin("serve")
                callbacks.serving_started()
                self.serving.apply(desired.service)
            if is_suspended(model, desired):
                if desired.remove_service:
                    self.serving.stop()
                return desired.status
            record.begin("serve")
            self._wait(model, find_target(desired))
            return self._plan(model, contents).status

    def up_pool(
        self, group: Group, callbacks: UpCallbacks, command: str = "kubevoice up -f FILE"
    ) -> dict[str, VoiceModelStatus | KubeVoiceError]:
        """Bring VoiceModels up one after the other, and wait until every replica serves those that succeeded.

        Parameters
        ----------
        group
            The VoiceModels, and the pool whose settings hold for all.
        callbacks
            Called as VoiceModels and their stages start, progress and end.
        command
            What a user runs to continue if this is interrupted.

        Returns
        -------
        dict
            Of each VoiceModel its status once it serves or is suspended, or what keeps it from being served.

        Raises
        ------
        KubeVoiceError
            If Ray does not start, or refuses the config.
        """
        members = {model.metadata.name: set_pool(model, group.pool) for model in group.models}
        outcomes: dict[str, VoiceModelStatus | KubeVoiceError] = {}
        with exclusive(self._home):
            for name, model in members.items():
                callbacks.model_started(model)
                try:
                    with RunRecord(self.state.run_file(name), command) as record:
                        desired = self._run_pipeline(model, self._prepare(model), callbacks, record, group.pool)
                        if not is_suspended(model, desired):
                            find_target(desired)
                        outcomes[name] = desired.status
                except KubeVoiceError as error:
                    outcomes[name] = error
            reached = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, VoiceModelStatus)}
            models = [members[name].model_copy(update={"status": status}) for name, status in reached.items()]
            voices = () if group.pool.spec.serving.suspend else list_voices(group.pool.metadata.name, models)
            self._apply_pool(group.pool, voices, callbacks)
            for voice in voices:
                try:
                    with RunRecord(self.state.run_file(voice.name), command) as record:
                        record.begin("serve")
                        self._wait(members[voice.name], voice.revision)
                except KubeVoiceError as error:
                    outcomes[voice.name] = error
                else:
                    model = members[voice.name]
                    outcomes[voice.name] = self._plan(model, self._prepare(model), group.pool).status
        return outcomes

    def _prepare(self, model: VoiceModel) -> str:
        """Make the state folder ready, and return a hash of what the stages read."""
        self._jobs.forget_failures()
        (self._home / "serving").mkdir(parents=True, exist_ok=True)
        return hash_inputs(model, self._home / "digests")

    def _run_pipeline(
        self,
        model: VoiceModel,
        contents: str,
        callbacks: UpCallbacks,
        record: RunRecord,
        pool: VoicePool | None = None,
    ) -> Plan:
        """Run stages until none is left, and return the plan. Raises KubeVoiceError if one fails."""
        while True:
            record.begin("plan")
            desired = self._plan(model, contents, pool)
            if desired.jobs:
                self._run_jobs(desired, callbacks, record)
            elif (job := desired.pipeline.last.job) is not None and job.phase is JobPhase.FAILED:
                raise stage_error(desired.pipeline.last, self._jobs.log(desired.pipeline.last.job_name))
            else:
                return desired

    def _plan(self, model: VoiceModel, contents: str, pool: VoicePool | None = None) -> Plan:
        """Observe, plan, and write the status."""
        name = model.metadata.name
        model = model.model_copy(update={"status": self.state.read_status(name)})
        service = self.serving.observe()
        observed = ObservedState(contents, self._jobs.observe(), service, retries=False)
        if pool is not None:
            seen = narrow_service(service, name, pool.spec.serving.min_replicas) if service else None
            observed = replace(observed, service=None, pool=ObservedPool(pool.metadata.name, seen))
        desired = plan(model, observed, datetime.now(UTC), Images())
        self.state.write_status(name, desired.status)
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

    def _apply_pool(self, pool: VoicePool, voices: Sequence[VoiceConfig], callbacks: UpCallbacks) -> None:
        desired = plan_pool(pool, voices, ObservedState(service=self.serving.observe()), datetime.now(UTC), Images())
        if desired.remove_service:
            self.serving.stop()
        if desired.service is not None:
            callbacks.serving_started()
            self.serving.apply(desired.service)

    def _wait(self, model: VoiceModel, target: str) -> None:
        self.serving.wait(model.metadata.name, target, model.spec.serving.rollout.progress_deadline_seconds)

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
