"""Plans for a VoiceModel without a dataset: its base voice is released and served as it is."""

import json

import pytest
from kubevoice.resources.conditions import ConditionType, Reason, State, find_condition
from kubevoice.resources.data_plane import ReplicaState
from kubevoice.resources.stages import GateResult, Stage, StageFailure
from kubevoice.resources.status import DatasetStatus, Phase, RevisionState, TrainingStatus
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.observed_state import JobPhase, ObservedJob, ObservedService, ObservedState
from kubevoice_operator.planner import plan
from kubevoice_operator.render.names import Images, content_hash
from planning import GOLDEN, MODEL, NOW, REVISION, compare_with_golden, make_results

BASE_ONLY = MODEL.replace("  dataset: {uri: s3://data/set}\n", "")
OTHER = "sha256:" + "5" * 64


class Operator:
    """Plans with the status and the Jobs of the plans before, while one replica serves what was applied."""

    def __init__(self):
        self.status, self.jobs, self.service = None, {}, None

    def plan(self, text, version=""):
        model = load_voicemodel(text)
        model = model.model_copy(update={"status": self.status}) if self.status else model
        result = plan(model, ObservedState(version, self.jobs, self.service), NOW, Images())
        self.status = result.status
        for name in result.delete_jobs:
            self.jobs.pop(name, None)
        for job in result.jobs:
            stage = Stage(job["metadata"]["labels"]["kubevoice.io/stage"])
            self.jobs[job["metadata"]["name"]] = ObservedJob(JobPhase.RUNNING, stage=stage)
        if result.service is not None:
            replica = ReplicaState(replica="a", voices={"mei": result.status.serving.target_revision})
            self.service = ObservedService(content_hash(result.service), "http://mei", (replica,))
        return result

    def finish(self, **results):
        """Let the running Jobs succeed; keywords replace results by stage."""
        for name, job in self.jobs.items():
            if job.phase is JobPhase.RUNNING:
                answer = results.get(job.stage, make_results()[job.stage])
                self.jobs[name] = ObservedJob(
                    JobPhase.SUCCEEDED, answer.model_dump_json(by_alias=True), 0, stage=job.stage
                )

    def running(self):
        return [job.stage for job in self.jobs.values() if job.active]


def states(status):
    return {condition.type: (condition.status, condition.reason) for condition in status.conditions}


def release(revision, verdict=GateResult.PASSED):
    return make_results(verdict)[Stage.RELEASE].model_copy(update={"revision": revision})


def test_one_job_releases_the_base_and_its_revision_is_served():
    operator = Operator()
    operator.plan(BASE_ONLY)
    first = operator.plan(BASE_ONLY)
    assert operator.running() == [Stage.RELEASE]
    assert (first.service, first.status.phase) == (None, Phase.RELEASING)
    assert states(first.status)[ConditionType.DATASET_READY] == (State.TRUE, Reason.NO_DATASET)
    assert states(first.status)[ConditionType.TRAINED] == (State.TRUE, Reason.NO_DATASET)
    operator.finish()
    operator.plan(BASE_ONLY)
    ready = operator.plan(BASE_ONLY).status
    assert (ready.phase, ready.serving.revision, ready.display.progress) == (Phase.READY, REVISION, "100%")
    assert (ready.dataset, ready.training) == (DatasetStatus(), TrainingStatus())
    assert [revision.state for revision in ready.revisions] == [RevisionState.SERVING]
    assert operator.plan(BASE_ONLY).jobs == ()


def test_the_job_is_rendered_as_recorded():
    text = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: mei, namespace: voices, uid: 6f1a8c52-0000-4000-8000-000000000000}
spec:
  base: {uri: "s3://voices/shared/mei", sha256: "%s"}
  storage: {artifactsUri: "s3://voices", secretRef: {name: s3}}
""" % ("2" * 64)
    (job,) = plan(load_voicemodel(text), ObservedState(), NOW, Images()).jobs
    compare_with_golden(job, GOLDEN / "base-voice-job.yaml")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (BASE_ONLY, "refreshed"),
        (BASE_ONLY.replace("builtin://base", "s3://voices/other"), ""),
        (BASE_ONLY.replace("uri: builtin://base", 'uri: builtin://base, sha256: "%s"' % ("2" * 64)), ""),
        (BASE_ONLY + "  evaluation: {maxRealTimeFactor: 1}\n", ""),
    ],
)
def test_another_base_or_threshold_releases_again_while_the_old_one_serves(text, version):
    operator = Operator()
    operator.plan(BASE_ONLY)
    operator.finish()
    operator.plan(BASE_ONLY)
    result = operator.plan(text, version)
    assert operator.running() == [Stage.RELEASE]
    assert (result.service, result.remove_service, result.status.serving.revision) == (None, False, REVISION)


def test_a_dataset_that_is_added_is_trained_and_rolled_out_while_the_base_serves():
    operator = Operator()
    operator.plan(BASE_ONLY)
    operator.finish()
    operator.plan(BASE_ONLY)
    for stage in (Stage.PREPARE, Stage.TRAIN, Stage.RELEASE):
        status = operator.plan(MODEL).status
        assert operator.running() == [stage]
        assert (status.serving.revision, states(status)[ConditionType.AVAILABLE][0]) == (REVISION, State.TRUE)
        operator.finish(**{Stage.RELEASE: release(OTHER)})
    operator.plan(MODEL)
    ready = operator.plan(MODEL).status
    assert (ready.phase, ready.serving.revision, ready.dataset.clips) == (Phase.READY, OTHER, 9)
    assert [(r.digest, r.state) for r in ready.revisions] == [
        (OTHER, RevisionState.SERVING),
        (REVISION, RevisionState.SUPERSEDED),
    ]


def test_a_dataset_that_is_removed_stops_its_training_and_releases_the_base():
    operator = Operator()
    for _ in range(3):
        operator.plan(MODEL)
        operator.finish()
    operator.plan(MODEL)
    operator.plan(MODEL.replace("s3://data/set", "s3://data/more"))
    assert operator.running() == [Stage.PREPARE]
    status = operator.plan(BASE_ONLY).status
    assert operator.running() == [Stage.RELEASE]
    assert (status.serving.revision, status.dataset, status.training) == (REVISION, DatasetStatus(), TrainingStatus())
    operator.finish(**{Stage.RELEASE: release(OTHER)})
    operator.plan(BASE_ONLY)
    assert operator.plan(BASE_ONLY).status.serving.revision == OTHER


def test_a_base_that_cannot_be_used_is_a_condition_and_is_not_tried_again():
    (job,) = plan(load_voicemodel(BASE_ONLY), ObservedState(), NOW, Images()).jobs
    message = "spec.base.uri: s3://voices/none has no voice.json; name a voice bundle"
    failure = StageFailure(reason="InvalidInput", message=message).model_dump_json()
    jobs = {job["metadata"]["name"]: ObservedJob(JobPhase.FAILED, failure, 2, stage=Stage.RELEASE)}
    result = plan(load_voicemodel(BASE_ONLY), ObservedState(jobs=jobs), NOW, Images())
    assert (result.jobs, result.status.phase) == ((), Phase.FAILED)
    for kind in (ConditionType.RELEASED, ConditionType.READY):
        condition = find_condition(result.status.conditions, kind)
        assert (condition.status, condition.reason) == (State.FALSE, Reason.INVALID_INPUT)
        assert message in condition.message


def test_a_base_that_fails_the_gate_is_not_served():
    operator = Operator()
    operator.plan(BASE_ONLY)
    operator.finish(**{Stage.RELEASE: release(REVISION, GateResult.FAILED)})
    result = operator.plan(BASE_ONLY)
    assert (result.service, result.status.phase) == (None, Phase.FAILED)
    assert states(result.status)[ConditionType.READY] == (State.FALSE, Reason.GATE_FAILED)


def test_the_artifacts_of_a_revision_are_its_release_and_its_bundle():
    limit = "  revisionHistoryLimit: 1\n  deletionPolicy: Delete\n"
    operator = Operator()
    (job,) = operator.plan(BASE_ONLY + limit).jobs
    operator.finish()
    operator.plan(BASE_ONLY + limit)
    other = BASE_ONLY.replace("builtin://base", "s3://voices/other") + limit
    operator.plan(other)
    operator.finish(**{Stage.RELEASE: release(OTHER)})
    (collect,) = operator.plan(other).jobs
    annotations = collect["spec"]["template"]["metadata"]["annotations"]
    key = job["metadata"]["labels"]["kubevoice.io/key"]
    assert json.loads(annotations["kubevoice.io/stage-spec"])["prefixes"] == [f"release/{key}", f"bundles/{'1' * 64}"]
