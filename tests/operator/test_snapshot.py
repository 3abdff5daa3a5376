"""The operator reads what the API server sent into an ObservedState."""

from datetime import UTC, datetime

import pytest
from kubevoice.resources.conditions import Reason
from kubevoice.resources.data_plane import ReplicaState, RevisionsResponse
from kubevoice.resources.stages import Progress, Stage
from kubevoice_operator.cluster.cache import Key, ResourceCache
from kubevoice_operator.cluster.snapshot import observe_jobs, observe_service, unrecorded_results
from kubevoice_operator.observed_state import JobPhase

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB, URL = "mei-train-1", "http://mei"
MINE = {"kubevoice.io/voicemodel": "mei"}


def thing(kind, name, labels=None, annotations=None, **parts):
    meta = {"namespace": "voices", "name": name, "uid": name, "labels": MINE | (labels or {})}
    return {"kind": kind, "metadata": meta | {"annotations": annotations or {}}, "spec": {}, "status": {}} | parts


def job(*conditions, annotations=None, **spec):
    status = {"conditions": [{"status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"} | c for c in conditions]}
    return thing("Job", JOB, {"kubevoice.io/stage": "train"}, annotations, status=status, spec=spec)


def pod(name, second=0, phase="Pending", index=None, **state):
    labels = {} if index is None else {"batch.kubernetes.io/job-completion-index": str(index)}
    body = thing("Pod", name, {"batch.kubernetes.io/job-name": JOB} | labels)
    body["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{second:02}Z"
    return body | {"status": {"phase": phase, "containerStatuses": [{"name": "stage", "image": "", "state": state}]}}


def children(*bodies):
    cache = ResourceCache()
    for body in bodies:
        cache.put(body)
    return cache.children(Key("voices", "mei"))


def observe_job(*bodies, progress=None):
    return observe_jobs(children(*bodies), {JOB: progress} if progress else {}, NOW)[JOB]


@pytest.mark.parametrize(
    ("body", "phase"),
    [
        (job(), JobPhase.RUNNING),
        (job(suspend=True), JobPhase.QUEUED),
        (job(suspend=False), JobPhase.RUNNING),
        (job({"type": "Complete"}), JobPhase.SUCCEEDED),
        (job({"type": "Failed"}), JobPhase.FAILED),
        (job({"type": "SuccessCriteriaMet"}), JobPhase.RUNNING),
        (job({"type": "FailureTarget"}), JobPhase.RUNNING),
        (job({"type": "Complete", "status": "False"}), JobPhase.RUNNING),
        (job({"type": "Suspended"}, suspend=True), JobPhase.QUEUED),
    ],
)
def test_where_a_job_stands(body, phase):
    assert observe_job(body).phase is phase


def test_a_job_that_runs_has_the_progress_that_its_pod_told():
    progress = Progress(stage=Stage.TRAIN, step=1, total=4, percent=25)
    state = observe_job(job(annotations={"kubevoice.io/shape": "s"}), pod("a", running={}), progress=progress)
    assert (state.progress, state.pod, state.stage, state.template_hash) == (progress, "a", Stage.TRAIN, "s")
    assert state.pod_issue is None


def test_the_answer_is_the_pods_until_it_stands_on_the_job():
    done, answer = job({"type": "Complete"}), {"exitCode": 0, "message": "{}"}
    state = observe_job(done, pod("a", phase="Succeeded", terminated=answer))
    assert (state.message, state.exit_code) == ("{}", 0)
    kept = observe_job(job({"type": "Complete"}, annotations={"kubevoice.io/result": "kept"}))
    assert kept.message == "kept"


def test_answers_that_stand_in_a_pod_only_are_to_be_recorded():
    answer = pod("a", phase="Succeeded", terminated={"exitCode": 0, "message": "{}"})
    assert unrecorded_results(children(job({"type": "Complete"}), answer)) == {JOB: "{}"}
    recorded = job({"type": "Complete"}, annotations={"kubevoice.io/result": "{}"})
    for nothing in (
        (job(), answer),
        (recorded, answer),
        (job({"type": "Complete"}),),
        (job({"type": "Failed"}), pod("a", phase="Failed", terminated={"exitCode": 1, "message": "{}"})),
        (job({"type": "Complete"}), pod("a", phase="Succeeded", terminated={"exitCode": 0})),
    ):
        assert unrecorded_results(children(*nothing)) == {}


def test_the_answer_of_the_pod_that_went_well_counts():
    failed = pod("a", 1, "Failed", terminated={"exitCode": 1, "message": "bad"})
    well = pod("b", 2, "Succeeded", terminated={"exitCode": 0, "message": "good"})
    assert unrecorded_results(children(job({"type": "Complete"}), failed, well)) == {JOB: "good"}
    assert observe_job(job({"type": "Complete"}), failed, well).message == "good"


def observe_distributed_job(*ends):
    """A failed Job whose pods ended so; the newest pod is the last."""
    return observe_job(
        job({"type": "Failed"}),
        *(pod(f"p{i}", i, "Failed", index=i, terminated={"message": f"m{i}"} | end) for i, end in enumerate(ends)),
    )


@pytest.mark.parametrize(
    ("ends", "cause"),
    [
        ([{"exitCode": 2}, {"exitCode": 1}], "m0"),
        ([{"exitCode": 1}, {"exitCode": 137, "reason": "OOMKilled"}], "m1"),
        ([{"exitCode": 1, "finishedAt": "T2"}, {"exitCode": 1, "finishedAt": "T1"}], "m1"),
        ([{"exitCode": 0}, {"exitCode": 1}], "m1"),
        ([{"exitCode": 0}, {"exitCode": 0}], "m0"),
    ],
)
def test_of_pods_that_trained_together_the_one_that_caused_the_end_is_heard(ends, cause):
    assert observe_distributed_job(*ends).message == cause


def test_progress_is_asked_of_the_first_of_pods_that_train_together():
    pods = [pod(f"p{i}", 9 - i, "Running", index=9 - i, running={}) for i in (8, 9)]
    assert observe_job(job(), *pods).pod == "p9"


@pytest.mark.parametrize(
    ("end", "reason"),
    [({"exitCode": 1}, Reason.RETRYING), ({"exitCode": 137, "reason": "OOMKilled"}, Reason.OUT_OF_MEMORY)],
)
def test_between_two_pods_a_job_tells_why_the_first_ended(end, reason):
    pod_issue = observe_job(job(), pod("a", phase="Failed", terminated=end)).pod_issue
    assert (pod_issue.reason, pod_issue.pod) == (reason, "a")


def test_a_job_that_will_not_try_again_is_about_to_fail():
    wrong = pod("a", phase="Failed", terminated={"exitCode": 2})
    assert observe_job(job(backoffLimit=3), wrong).pod_issue is None
    last = pod("a", phase="Failed", terminated={"exitCode": 1})
    assert observe_job(job(backoffLimit=1), last).pod_issue.reason is Reason.RETRYING
    assert observe_job(job(backoffLimit=0), last).pod_issue is None


def test_a_pod_that_replaces_another_makes_its_end_forgotten():
    first = pod("a", 1, "Failed", terminated={"exitCode": 1})
    assert observe_job(job(), first, pod("b", 2, "Running", running={})).pod_issue is None
    pulling = pod("b", 2, waiting={"reason": "ErrImagePull"})
    assert observe_job(job(), first, pulling).pod_issue.reason is Reason.IMAGE_PULL_FAILED


def test_a_pod_that_is_done_but_not_yet_counted_is_no_trouble():
    assert observe_job(job(), pod("a", phase="Succeeded", terminated={"exitCode": 0})).pod_issue is None


def test_a_deadline_is_named_whatever_the_pod_says():
    late = job({"type": "Failed", "reason": "DeadlineExceeded"})
    state = observe_job(late, pod("a", phase="Failed", terminated={"exitCode": 143, "reason": "Error"}))
    assert (state.reason, state.finished_at) == ("DeadlineExceeded", NOW)


def test_a_job_of_another_making_has_no_stage():
    strange = thing("Job", JOB, {"kubevoice.io/stage": "dance"})
    assert observe_jobs(children(strange), {}, NOW)[JOB].stage is None


def rayservice(status=None, **meta):
    body = thing("RayService", "mei", annotations={"kubevoice.io/rendered": "h"}, status=status or {})
    body["metadata"] |= meta
    return body


ACTIVE = {"activeServiceStatus": {"rayClusterName": "mei-1"}}


def test_a_service_with_what_its_replicas_say():
    replica = ReplicaState(replica="a", voices={"mei": "r"})
    state = observe_service(children(rayservice()), "mei", URL, RevisionsResponse(replicas=(replica,)), NOW)
    assert (state.applied, state.url, state.replicas, state.cluster, state.bounds) == ("h", URL, (replica,), None, None)


def test_none_or_one_that_goes_is_no_service():
    leaving = rayservice(deletionTimestamp="2026-01-01T00:00:00Z")
    for bodies in ((), (leaving,)):
        assert observe_service(children(*bodies), "mei", URL, None, NOW) is None


def test_bounds_are_those_of_the_cluster_that_answers():
    def cluster(name, least, most):
        return thing("RayCluster", name, spec={"workerGroupSpecs": [{"minReplicas": least, "maxReplicas": most}]})

    bodies = (rayservice(ACTIVE), cluster("mei-1", 1, 4), cluster("mei-0", 2, 9))
    state = observe_service(children(*bodies), "mei", URL, None, NOW)
    assert (state.cluster, state.bounds) == ("mei-1", (1, 4))


def test_workers_are_those_of_the_cluster_that_answers():
    def ray(name, kind, cluster):
        return thing("Pod", name, {"ray.io/node-type": kind, "ray.io/cluster": cluster})

    pods = (ray("a", "worker", "mei-1"), ray("b", "worker", "mei-1"), ray("c", "worker", "mei-0"))
    state = observe_service(children(rayservice(ACTIVE), *pods, ray("d", "head", "mei-1")), "mei", URL, None, NOW)
    assert state.workers == 2


def test_what_ray_serve_complains_about():
    failed = {
        "applicationStatuses": {"voice": {"status": "DEPLOY_FAILED", "message": "x\nValueError: no such bundle\n"}}
    }
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        state = observe_service(children(rayservice({part: failed})), "mei", URL, None, NOW)
        assert state.error == "Ray Serve: ValueError: no such bundle"
    fine = {"activeServiceStatus": {"applicationStatuses": {"voice": {"status": "RUNNING"}}}}
    assert observe_service(children(rayservice(fine)), "mei", URL, None, NOW).error is None


def test_the_trouble_of_a_service_is_that_of_its_own_pods():
    ray = thing("Pod", "ray", {"ray.io/node-type": "worker"})
    ray["status"] = {"phase": "Pending", "containerStatuses": [pod("x", waiting={"reason": "ErrImagePull"})
                     ["status"]["containerStatuses"][0]]}  # fmt: skip
    stage = pod("a", waiting={"reason": "CreateContainerConfigError"})
    state = observe_service(children(rayservice(), ray, stage), "mei", URL, None, NOW)
    assert (state.pod_issue.pod, state.pod_issue.reason) == ("ray", Reason.IMAGE_PULL_FAILED)
    assert observe_service(children(rayservice(), stage), "mei", URL, None, NOW).pod_issue is None
