"""Plans for a VoiceModel, from the first Job to a replica that serves the revision.

The rendered objects are also compared with golden/*.yaml. After an intended change run
`KUBEVOICE_UPDATE_GOLDEN=1 pytest tests/operator/test_planner.py` and read the diff.
"""

import json
from datetime import timedelta

import pytest
from kubernetes import client
from kubevoice.resources.conditions import ConditionType, Reason, State, find_condition
from kubevoice.resources.data_plane import ReplicaState
from kubevoice.resources.stages import GateResult, Stage, StageFailure
from kubevoice.resources.status import Phase
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.observed_state import (
    JobPhase,
    ObservedJob,
    ObservedService,
    ObservedState,
    PodIssue,
)
from kubevoice_operator.planner import plan
from kubevoice_operator.render.names import TEMPLATE_HASH_ANNOTATION, Images, content_hash
from planning import DIGEST, GOLDEN, MODEL, NOW, REVISION, STAGES, compare_with_golden, make_results, plan_after


@pytest.mark.parametrize(("count", "following"), [(0, "prepare"), (1, "train"), (2, "release")])
def test_each_stage_follows_the_one_before(count, following):
    result = plan_after(STAGES[:count])
    (job,) = result.jobs
    assert job["metadata"]["labels"]["kubevoice.io/stage"] == following
    assert job["metadata"]["name"].startswith(f"mei-{following}-")
    assert result.service is None


def test_the_same_input_gives_the_same_plan_and_another_spec_another_job():
    first = plan_after([])
    assert plan_after([]).jobs == first.jobs
    other = plan_after([], model=MODEL.replace("s3://data/set", "s3://data/other"))
    assert other.jobs[0]["metadata"]["name"] != first.jobs[0]["metadata"]["name"]


def test_a_dataset_that_is_read_again_and_has_not_changed_repeats_no_training():
    model, jobs = load_voicemodel(MODEL), {}
    results = make_results()
    for stage in STAGES[:2]:
        (job,) = plan(model, ObservedState("first", jobs), NOW, Images()).jobs
        jobs |= {job["metadata"]["name"]: ObservedJob(JobPhase.SUCCEEDED, results[stage].model_dump_json())}
    (prepare,) = plan(model, ObservedState("second", jobs), NOW, Images()).jobs
    assert prepare["metadata"]["labels"]["kubevoice.io/stage"] == "prepare"
    again = results[Stage.PREPARE].model_copy(update={"features_uri": "s3://voices/elsewhere"})
    jobs |= {prepare["metadata"]["name"]: ObservedJob(JobPhase.SUCCEEDED, again.model_dump_json())}
    (release,) = plan(model, ObservedState("second", jobs), NOW, Images()).jobs
    assert release["metadata"]["labels"]["kubevoice.io/stage"] == "release"


def test_another_base_voice_in_the_same_place_trains_again():
    names = []
    for base in ("2" * 64, "3" * 64):
        (job,) = plan(load_voicemodel(MODEL), ObservedState(), NOW, Images()).jobs
        prepared = make_results()[Stage.PREPARE].model_copy(update={"base_sha256": base})
        jobs = {job["metadata"]["name"]: ObservedJob(JobPhase.SUCCEEDED, prepared.model_dump_json())}
        (train,) = plan(load_voicemodel(MODEL), ObservedState(jobs=jobs), NOW, Images()).jobs
        names.append(train["metadata"]["name"])
    assert names[0] != names[1]


def test_another_endpoint_replaces_only_the_running_stage():
    other_endpoint = MODEL.replace("http://minio:9000", "https://s3.example.com")
    (train,) = plan_after(STAGES[:1]).jobs
    name, template_hash = train["metadata"]["name"], train["metadata"]["annotations"][TEMPLATE_HASH_ANNOTATION]
    assert plan_after(STAGES[:1], model=other_endpoint).jobs[0]["metadata"]["name"] == name
    assert plan_after(STAGES, model=other_endpoint).jobs == ()
    assert "https://s3.example.com" in plan_after(STAGES, model=other_endpoint).service["spec"]["serveConfigV2"]
    running = {name: ObservedJob(JobPhase.RUNNING, stage=Stage.TRAIN, template_hash=template_hash)}
    (prepare,) = plan_after([]).jobs
    answer = make_results()[Stage.PREPARE].model_dump_json(by_alias=True)
    running |= {prepare["metadata"]["name"]: ObservedJob(JobPhase.SUCCEEDED, answer, 0)}
    same, other = (
        plan(load_voicemodel(m), ObservedState(jobs=running), NOW, Images()) for m in (MODEL, other_endpoint)
    )
    assert (same.delete_jobs, other.delete_jobs) == ((), (name,))


def test_another_endpoint_replaces_the_suspended_cleanup():
    model = MODEL.replace("namespace: voices}", "namespace: voices, uid: 0123456789}") + "  deletionPolicy: Delete\n"
    cleanup = next(j for j in plan_after([], model=model).jobs if "cleanup" in j["metadata"]["name"])
    name, template_hash = cleanup["metadata"]["name"], cleanup["metadata"]["annotations"][TEMPLATE_HASH_ANNOTATION]
    waiting = {name: ObservedJob(JobPhase.QUEUED, stage=Stage.COLLECT, template_hash=template_hash)}
    other_endpoint = model.replace("http://minio:9000", "https://s3.example.com")
    same, other = (
        plan(load_voicemodel(m), ObservedState(jobs=waiting), NOW, Images()) for m in (model, other_endpoint)
    )
    assert (same.delete_jobs, other.delete_jobs) == ((), (name,))


def test_a_released_revision_is_ready_when_a_replica_reports_it():
    rolling = plan_after(STAGES)
    assert (rolling.jobs, rolling.status.phase) == ((), Phase.ROLLING_OUT)
    applied = content_hash(rolling.service)
    silent = plan_after(STAGES, service=ObservedService(applied, "http://mei"))
    assert (silent.service, silent.status.phase) == (None, Phase.ROLLING_OUT)
    replica = ReplicaState(replica="a", voices={"mei": REVISION})
    ready = plan_after(STAGES, service=ObservedService(applied, "http://mei", (replica,)))
    assert (ready.service, ready.status.phase) == (None, Phase.READY)


@pytest.mark.parametrize(("pin", "reason"), [("", Reason.SERVING), (f"  revision: {REVISION}\n", Reason.PINNED)])
def test_a_ready_voice_reports_whether_its_revision_is_pinned(pin, reason):
    model = MODEL + pin
    applied = content_hash(plan_after(STAGES, model=model).service)
    service = ObservedService(applied, "http://mei", (ReplicaState(replica="a", voices={"mei": REVISION}),))
    ready = find_condition(plan_after(STAGES, model=model, service=service).status.conditions, ConditionType.READY)
    assert (ready.status, ready.reason) == (State.TRUE, reason)


@pytest.mark.parametrize(
    ("bounds", "workers", "expected"),
    [
        ((1, 8), 1, (1, 2)),
        ((1, 8), 5, (1, 5)),
        ((3, 5), 4, (1, 4)),
        ((1, 5), 5, None),
        ((1, 1), 1, (1, 2)),
        ((1, 1), 5, (1, 2)),
        ((1, 2), 0, None),
        (None, 0, None),
    ],
)
def test_the_maximum_never_falls_below_the_existing_workers(bounds, workers, expected):
    service = ObservedService("h", "http://mei", bounds=bounds, workers=workers)
    assert plan_after(STAGES, model=MODEL + "  serving: {maxReplicas: 2}\n", service=service).bounds == expected


def test_a_refusal_is_reported_while_an_older_revision_serves():
    old = ObservedService("", "http://mei", (ReplicaState(replica="a", voices={"mei": DIGEST}),))
    result = plan_after(STAGES, service=old, refused="the API server refuses it: no such image is allowed")
    ready = find_condition(result.status.conditions, ConditionType.READY)
    assert (ready.status, ready.reason) == (State.FALSE, Reason.REFUSED_BY_API)
    assert "no such image is allowed" in ready.message


def test_a_refused_change_is_reported_if_the_revision_is_the_current_one():
    service = ObservedService("before", "http://mei", (ReplicaState(replica="a", voices={"mei": REVISION}),))
    result = plan_after(STAGES, service=service, refused="the API server refuses it: no such image is allowed")
    conditions = {c.type: (c.status, c.reason) for c in result.status.conditions}
    assert conditions[ConditionType.READY] == (State.FALSE, Reason.REFUSED_BY_API)
    assert conditions[ConditionType.DEGRADED] == (State.TRUE, Reason.REFUSED_BY_API)
    assert conditions[ConditionType.AVAILABLE] == (State.TRUE, Reason.SERVING)
    assert "no such image is allowed" in find_condition(result.status.conditions, ConditionType.READY).message
    assert result.status.serving.revision == REVISION


def test_a_revision_that_fails_the_gate_is_not_served():
    result = plan_after(STAGES, result=GateResult.FAILED)
    assert (result.service, result.status.phase) == (None, Phase.FAILED)


def test_a_failed_job_is_not_created_again_and_its_message_is_reported():
    model = load_voicemodel(MODEL)
    (job,) = plan(model, ObservedState(), NOW, Images()).jobs
    message = StageFailure(reason="InvalidInput", message="metadata.csv row 2: no such file").model_dump_json()
    jobs = {job["metadata"]["name"]: ObservedJob(JobPhase.FAILED, message, 2)}
    result = plan(model, ObservedState(jobs=jobs), NOW, Images())
    assert (result.jobs, result.status.phase) == ((), Phase.FAILED)
    assert "metadata.csv row 2" in result.status.model_dump_json()


@pytest.mark.parametrize(("retries", "words"), [(True, "will be tried again"), (False, "run kubevoice up")])
def test_a_retry_is_announced_only_where_something_retries(retries, words):
    (job,) = plan_after([]).jobs
    failure = StageFailure(reason="StorageError", message="no answer", retryable=True).model_dump_json()
    jobs = {job["metadata"]["name"]: ObservedJob(JobPhase.FAILED, failure, 1)}
    status = plan(load_voicemodel(MODEL), ObservedState(jobs=jobs, retries=retries), NOW, Images()).status
    assert words in find_condition(status.conditions, ConditionType.READY).message


def test_a_suspended_training_has_no_job():
    assert plan_after([], model=MODEL + "  training: {suspend: true}\n").jobs == ()


def check_schema(value, kind, path="job"):
    """Compare an object with the Kubernetes OpenAPI, from which the client's models are generated."""
    if kind.lower().startswith("list["):
        for i, item in enumerate(value):
            check_schema(item, kind[5:-1], f"{path}[{i}]")
    elif kind.lower().startswith(("dict[", "dict(")):
        for key, item in value.items():
            check_schema(item, kind.split(", ", 1)[1][:-1], f"{path}.{key}")
    elif model := getattr(client, kind, None):
        fields = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
        for key, item in value.items():
            assert key in fields, f"{path}.{key} is not a field of {kind}"
            check_schema(item, fields[key], f"{path}.{key}")
    else:
        types = {"str": str, "int": int, "bool": bool, "object": object, "float": (int, float), "datetime": str}
        assert isinstance(value, types[kind]), f"{path} is not of type {kind}"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_jobs_are_valid_for_the_kubernetes_api(count):
    (job,) = plan_after(STAGES[:count]).jobs
    check_schema(job, "V1Job")
    client.ApiClient().deserialize(
        json.dumps(job), "V1Job", "application/json"
    )  # raises if something required is missing


def test_no_secret_is_copied_into_a_job():
    (job,) = plan_after([]).jobs
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert "AWS_SECRET_ACCESS_KEY" not in json.dumps(job["metadata"])
    assert {"secretRef": {"name": "s3"}} in container["envFrom"]


@pytest.mark.parametrize("count", range(4))
def test_objects_are_rendered_as_recorded(count):
    result = plan_after(STAGES[:count], model=(GOLDEN / "voicemodel.yaml").read_text())
    rendered = result.service or result.jobs[0]
    compare_with_golden(rendered, GOLDEN / f"{count}-{rendered['kind'].lower()}.yaml")


def test_attempts_count_failed_jobs_and_not_failed_pods():
    model = load_voicemodel(MODEL)
    name = plan(model, ObservedState(), NOW, Images()).jobs[0]["metadata"]["name"]
    pod_issue = PodIssue(Reason.RETRYING, "it ended with 1; another pod will try again", "p")
    failure = StageFailure(reason="StorageError", message="connection refused").model_dump_json()
    attempts, now = [], NOW
    for job in (
        ObservedJob(JobPhase.RUNNING, pod_issue=pod_issue),
        ObservedJob(JobPhase.FAILED, failure, 1, finished_at=NOW + timedelta(seconds=9)),
        ObservedJob(JobPhase.RUNNING),
        ObservedJob(JobPhase.FAILED, failure, 1, finished_at=NOW + timedelta(seconds=99)),
    ):
        now += timedelta(seconds=10)
        status = plan(model, ObservedState(jobs={name: job}), now, Images()).status
        model = model.model_copy(update={"status": status})
        attempts.append(status.last_failure.attempts)
    assert attempts == [1, 1, 1, 2]
