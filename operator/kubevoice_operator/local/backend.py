"""The loop: observe, plan, apply, until the voice serves or something is wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.stages import Progress, Stage
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel
from pydantic import ValidationError

from kubevoice_operator.chain import Step
from kubevoice_operator.local.files import dataset_fingerprint, exclusive, write_atomically
from kubevoice_operator.local.jobs import LocalJobs
from kubevoice_operator.local.serving import LocalServing
from kubevoice_operator.observe import JobPhase, Observed
from kubevoice_operator.plan import Plan, plan
from kubevoice_operator.render.names import Images

__all__ = ["Events", "LocalBackend", "stage_error"]


@dataclass(frozen=True, slots=True)
class Events:
    """What the loop tells while it works."""

    stage_started: Callable[[Stage], None] = lambda _stage: None
    progress: Callable[[Progress], None] = lambda _progress: None
    stage_done: Callable[[Step], None] = lambda _step: None
    serving_started: Callable[[], None] = lambda: None


class LocalBackend:
    """VoiceModels on this machine; `home` holds all their state."""

    def __init__(self, home: Path, port: int) -> None:
        self._home = home
        self._jobs = LocalJobs(home / "jobs")
        self.serving = LocalServing(home / "serving", port)

    def status(self, name: str) -> VoiceModelStatus:
        """Return the last status written; an empty one if there is none that can be read."""
        try:
            return VoiceModelStatus.model_validate_json((self._home / "status" / f"{name}.json").read_bytes())
        except (OSError, ValidationError):
            return VoiceModelStatus()

    def model(self, name: str) -> VoiceModel:
        """Return a VoiceModel as it was last brought up. InputError if it was not, or cannot be read."""
        try:
            return VoiceModel.model_validate_json(self._model_file(name).read_bytes())
        except (OSError, ValidationError):
            raise InputError(
                f"there is no VoiceModel {name!r} here that can be brought up again; run kubevoice up -f FILE"
            ) from None

    def keep(self, model: VoiceModel) -> None:
        """Remember a VoiceModel that was brought up."""
        write_atomically(self._model_file(model.metadata.name), model.model_dump_json(by_alias=True, indent=1))

    def _model_file(self, name: str) -> Path:
        return self._home / "models" / f"{name}.json"

    def names(self) -> list[str]:
        """Return the VoiceModels that were ever brought up here."""
        return sorted(path.stem for path in (self._home / "status").glob("*.json"))

    def up(self, model: VoiceModel, events: Events) -> VoiceModelStatus:
        """Bring `model` up and wait until every replica serves it; what was done before is reused.

        Raises InputError for bad input, KubeVoiceError for anything else that keeps the voice from serving.
        """
        with exclusive(self._home):
            self._jobs.forget_failures()
            (self._home / "serving").mkdir(parents=True, exist_ok=True)
            dataset = dataset_fingerprint(model.spec.dataset.uri, model.spec.storage.s3_options())
            while True:
                decided = self._plan(model, dataset)
                if decided.jobs:
                    self._run(decided, events)
                elif (job := decided.chain.last.job) is not None and job.phase is JobPhase.FAILED:
                    raise stage_error(decided.chain.last, self._jobs.log(decided.chain.last.job_name))
                elif decided.service is not None:
                    events.serving_started()
                    self.serving.apply(decided.service)
                else:
                    return self._wait(model, decided, dataset)

    def _plan(self, model: VoiceModel, dataset: str) -> Plan:
        """Observe, decide, and write the status down."""
        model = model.model_copy(update={"status": self.status(model.metadata.name)})
        observed = Observed(dataset, self._jobs.observe(), self.serving.observe())
        decided = plan(model, observed, datetime.now(UTC), Images())
        body = decided.status.model_dump_json(by_alias=True, indent=1)
        write_atomically(self._home / "status" / f"{model.metadata.name}.json", body)
        return decided

    def _run(self, decided: Plan, events: Events) -> None:
        last = decided.chain.last
        for job in decided.jobs:
            of_chain = job["metadata"]["name"] == last.job_name
            if of_chain:
                events.stage_started(last.stage)
            observed = self._jobs.run(job, events.progress)
            if of_chain and observed.phase is JobPhase.SUCCEEDED:
                events.stage_done(Step(last.stage, last.spec, last.job_name, observed))

    def _wait(self, model: VoiceModel, decided: Plan, dataset: str) -> VoiceModelStatus:
        target = decided.status.serving.target_revision
        if model.spec.serving.suspend or (model.spec.training.suspend and target is None):
            if decided.remove_service:
                self.serving.stop()
            return decided.status
        if target is None:
            released = decided.chain.released
            why = "; ".join(released.failures) if released else "nothing was released"
            raise KubeVoiceError(f"the quality gate refused the voice: {why}; see spec.evaluation")
        self.serving.wait(model.metadata.name, target, model.spec.serving.rollout.progress_deadline_seconds)
        return self._plan(model, dataset).status

    def down(self) -> bool:
        """Stop serving; artifacts and results stay. Tell whether anything ran."""
        with exclusive(self._home):
            return self.serving.stop()


def stage_error(step: Step, log: Path) -> KubeVoiceError:
    """Return the error of a step that failed: the container's own words, all of them from its log."""
    if step.job is None:
        return KubeVoiceError(f"{step.stage} did not run")
    failure = step.job.failure()
    first, *rest = failure.message.splitlines() or [failure.reason]
    if rest and rest[-1].endswith("the log has them all"):
        rest = _problems(log) or rest
    if step.job.exit_code == InputError.exit_code:
        return InputError(first, rest)
    return KubeVoiceError("\n".join([f"{step.stage} failed: {first} (log: {log})", *rest]))


def _problems(log: Path) -> list[str]:
    """Return the indented lines after the log's last `error:`."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = text[text.rfind("\nerror: ") + 1 :].splitlines()[1:]
    return [line.strip() for line in lines if line.startswith("  ")]
