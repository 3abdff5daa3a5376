"""The operator builds an ObservedState from the cached objects of the API server."""

from datetime import UTC, datetime

import pytest
from kubevoice.resources.conditions import Reason
from kubevoice.resources.data_plane import ReplicaState, RevisionsResponse
from kubevoice.resources.stages import Progress, Stage
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.cluster.service_snapshot import observe_service
from kubevoice_operator.cluster.snapshot import observe_jobs, unrecorded_results
from kubevoice_operator.observed_state import JobPhase

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB, URL = "mei-train-1", "http://mei"
LABELS = {"kubevoice.io/voicemodel": "mei"}


def make_object(kind, name, labels=None, annotations=None, **parts):
    meta = {"namespace": "voices", "name": name, "uid": name, "labels": LABELS | (labels or {})}
    return {"kind": kind, "metadata": meta | {"annotations": annotations or {}}, "spec": {}, "status": {}} | parts


def make_job(*conditions, annotations=None, **spec):
    status = {"conditions": [{"status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"} | c for c in conditions]}
    return make_object("Job", JOB, {"kubevoice.io/stage": "train"}, annotations, status=status, spec=spec)


def make_pod(name, second=0, phase="Pending", index=None, **state):
    labels = {} if index is None else {"batch.kubernetes.io/job-completion-index": str(index)}
    body = make_object("Pod", name, {"batch.kubernetes.io/job-name": JOB} | labels)
    body["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{second:02}Z"
    return body | {"status": {"phase": phase, "containerStatuses": [{"name": "stage", "image": "", "state": state}]}}


def cache_children(*bodies):
    cache = ResourceCache()
    for body in bodies:
        cache.put(body)
    return cache.children(Key("voices", "mei"))


def observe_job(*bodies, progress=None):
    return observe_jobs(cache_children(*bodies), {JOB: progress} if progress else {}, {}, NOW)[JOB]


@pytest.mark.parametrize(
    ("body", "phase"),
    [
        (make_job(), JobPhase.RUNNING),
        (make_job(suspend=True), JobPhase.QUEUED),
        (make_job(suspend=False), JobPhase.RUNNING),
        (make_job({"type": "Complete"}), JobPhase.SUCCEEDED),
        (make_job({"type": "Failed"}), JobPhase.FAILED),
        (make_job({"type": "SuccessCriteriaMet"}), JobPhase.RUNNING),
        (make_job({"type": "FailureTarget"}), JobPhase.RUNNING),
        (make_job({"type": "Complete", "status": "False"}), JobPhase.RUNNING),
        (make_job({"type": "Suspended"}, suspend=True), JobPhase.QUEUED),
    ],
)
def test_the_phase_of_a_job(body, phase):
    assert observe_job(body).phase is phase


def test_a_running_job_has_the_progress_of_its_pod():
    progress = Progress(stage=Stage.TRAIN, step=1, total=4, percent=25)
    state = observe_job(make_job(annotations={"kubevoice.io/shape": "s"}), make_pod("a", running={}), progress=progress)
    assert (state.progress, state.pod, state.stage, state.template_hash) == (progress, "a", Stage.TRAIN, "s")
    assert state.pod_issue is None


def test_the_result_is_read_from_the_pod_until_the_job_has_it():
    complete, termination = make_job({"type": "Complete"}), {"exitCode": 0, "message": "{}"}
    state = observe_job(complete, make_pod("a", phase="Succeeded", terminated=termination))
    assert (state.message, state.exit_code) == ("{}", 0)
    recorded = observe_job(make_job({"type": "Complete"}, annotations={"kubevoice.io/result": "recorded"}))
    assert recorded.message == "recorded"


def test_results_that_only_a_pod_has_are_unrecorded():
    succeeded = make_pod("a", phase="Succeeded", terminated={"exitCode": 0, "message": "{}"})
    assert unrecorded_results(cache_children(make_job({"type": "Complete"}), succeeded)) == {JOB: "{}"}
    recorded = make_job({"type": "Complete"}, annotations={"kubevoice.io/result": "{}"})
    for bodies in (
        (make_job(), succeeded),
        (recorded, succeeded),
        (make_job({"type": "Complete"}),),
        (make_job({"type": "Failed"}), make_pod("a", phase="Failed", terminated={"exitCode": 1, "message": "{}"})),
        (make_job({"type": "Complete"}), make_pod("a", phase="Succeeded", terminated={"exitCode": 0})),
    ):
        assert unrecorded_results(cache_children(*bodies)) == {}


def test_the_result_is_that_of_the_pod_that_succeeded():
    failed = make_pod("a", 1, "Failed", terminated={"exitCode": 1, "message": "bad"})
    succeeded = make_pod("b", 2, "Succeeded", terminated={"exitCode": 0, "message": "good"})
    assert unrecorded_results(cache_children(make_job({"type": "Complete"}), failed, succeeded)) == {JOB: "good"}
    assert observe_job(make_job({"type": "Complete"}), failed, succeeded).message == "good"


def observe_distributed_job(*ends):
    """Observe a failed Job whose pods have these terminations; the newest pod is the last."""
    return observe_job(
        make_job({"type": "Failed"}),
        *(make_pod(f"p{i}", i, "Failed", index=i, terminated={"message": f"m{i}"} | end) for i, end in enumerate(ends)),
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
def test_the_message_of_a_distributed_job_is_that_of_the_pod_that_failed_first(ends, cause):
    assert observe_distributed_job(*ends).message == cause


def test_the_progress_of_a_distributed_job_is_that_of_its_first_pod():
    pods = [make_pod(f"p{i}", 9 - i, "Running", index=9 - i, running={}) for i in (8, 9)]
    assert observe_job(make_job(), *pods).pod == "p9"


@pytest.mark.parametrize(
    ("end", "reason"),
    [({"exitCode": 1}, Reason.RETRYING), ({"exitCode": 137, "reason": "OOMKilled"}, Reason.OUT_OF_MEMORY)],
)
def test_between_two_pods_a_job_has_the_problem_of_the_first(end, reason):
    pod_issue = observe_job(make_job(), make_pod("a", phase="Failed", terminated=end)).pod_issue
    assert (pod_issue.reason, pod_issue.pod) == (reason, "a")


def test_a_job_without_retries_left_has_no_problem_until_it_fails():
    wrong = make_pod("a", phase="Failed", terminated={"exitCode": 2})
    assert observe_job(make_job(backoffLimit=3), wrong).pod_issue is None
    last = make_pod("a", phase="Failed", terminated={"exitCode": 1})
    assert observe_job(make_job(backoffLimit=1), last).pod_issue.reason is Reason.RETRYING
    assert observe_job(make_job(backoffLimit=0), last).pod_issue is None


def test_a_new_pod_replaces_the_problem_of_the_one_before():
    first = make_pod("a", 1, "Failed", terminated={"exitCode": 1})
    assert observe_job(make_job(), first, make_pod("b", 2, "Running", running={})).pod_issue is None
    pulling = make_pod("b", 2, waiting={"reason": "ErrImagePull"})
    assert observe_job(make_job(), first, pulling).pod_issue.reason is Reason.IMAGE_PULL_FAILED


def test_a_succeeded_pod_of_a_running_job_is_no_problem():
    assert observe_job(make_job(), make_pod("a", phase="Succeeded", terminated={"exitCode": 0})).pod_issue is None


def test_an_exceeded_deadline_is_the_reason_whatever_the_pod_reports():
    late = make_job({"type": "Failed", "reason": "DeadlineExceeded"})
    state = observe_job(late, make_pod("a", phase="Failed", terminated={"exitCode": 143, "reason": "Error"}))
    assert (state.reason, state.finished_at) == ("DeadlineExceeded", NOW)


def test_a_job_with_an_unknown_stage_has_none():
    other = make_object("Job", JOB, {"kubevoice.io/stage": "unknown"})
    assert observe_jobs(cache_children(other), {}, {}, NOW)[JOB].stage is None


def make_rayservice(status=None, **meta):
    body = make_object("RayService", "mei", annotations={"kubevoice.io/rendered": "h"}, status=status or {})
    body["metadata"] |= meta
    return body


ACTIVE = {"activeServiceStatus": {"rayClusterName": "mei-1"}}


def test_a_service_has_the_state_of_its_replicas():
    replica = ReplicaState(replica="a", voices={"mei": "r"})
    state = observe_service(cache_children(make_rayservice()), "mei", URL, RevisionsResponse(replicas=(replica,)), NOW)
    assert (state.applied, state.url, state.replicas, state.cluster, state.bounds) == ("h", URL, (replica,), None, None)


def test_a_missing_or_deleted_service_is_none():
    deleted = make_rayservice(deletionTimestamp="2026-01-01T00:00:00Z")
    for bodies in ((), (deleted,)):
        assert observe_service(cache_children(*bodies), "mei", URL, None, NOW) is None


def test_bounds_are_those_of_the_active_cluster():
    def cluster(name, least, most):
        return make_object("RayCluster", name, spec={"workerGroupSpecs": [{"minReplicas": least, "maxReplicas": most}]})

    bodies = (make_rayservice(ACTIVE), cluster("mei-1", 1, 4), cluster("mei-0", 2, 9))
    state = observe_service(cache_children(*bodies), "mei", URL, None, NOW)
    assert (state.cluster, state.bounds) == ("mei-1", (1, 4))


def test_workers_are_those_of_the_active_cluster():
    def ray(name, kind, cluster):
        return make_object("Pod", name, {"ray.io/node-type": kind, "ray.io/cluster": cluster})

    pods = (ray("a", "worker", "mei-1"), ray("b", "worker", "mei-1"), ray("c", "worker", "mei-0"))
    state = observe_service(
        cache_children(make_rayservice(ACTIVE), *pods, ray("d", "head", "mei-1")), "mei", URL, None, NOW
    )
    assert state.workers == 2


def test_the_error_of_ray_serve():
    failed = {
        "applicationStatuses": {"voice": {"status": "DEPLOY_FAILED", "message": "x\nValueError: no such bundle\n"}}
    }
    for part in ("activeServiceStatus", "pendingServiceStatus"):
        state = observe_service(cache_children(make_rayservice({part: failed})), "mei", URL, None, NOW)
        assert state.error == "Ray Serve: ValueError: no such bundle"
    running = {"activeServiceStatus": {"applicationStatuses": {"voice": {"status": "RUNNING"}}}}
    assert observe_service(cache_children(make_rayservice(running)), "mei", URL, None, NOW).error is None


def test_the_problem_of_a_service_is_that_of_its_own_pods():
    ray = make_object("Pod", "ray", {"ray.io/node-type": "worker"})
    ray["status"] = {"phase": "Pending", "containerStatuses": [make_pod("x", waiting={"reason": "ErrImagePull"})
                     ["status"]["containerStatuses"][0]]}  # fmt: skip
    stage = make_pod("a", waiting={"reason": "CreateContainerConfigError"})
    state = observe_service(cache_children(make_rayservice(), ray, stage), "mei", URL, None, NOW)
    assert (state.pod_issue.pod, state.pod_issue.reason) == ("ray", Reason.IMAGE_PULL_FAILED)
    assert observe_service(cache_children(make_rayservice(), stage), "mei", URL, None, NOW).pod_issue is None


FAILED_START = """A replica failed to start with exception. Retrying. Error:
ray::ServeReplica:voice:Synthesizer() (pid=1, ip=10.0.0.2)
  File "synthesizer.py", line 107, in reconfigure
kubevoice.errors.KubeVoiceError: s3://voices/bundles/1: Connection refused
"""


@pytest.mark.parametrize("status", ["UPSCALING", "UPDATING", "HEALTHY"])
def test_a_replica_that_cannot_start_says_why_while_ray_serve_tries_again(status):
    deployments = {"Synthesizer": {"status": status, "message": FAILED_START}, "Ingress": {"status": "HEALTHY"}}
    app = {"status": "RUNNING", "serveDeploymentStatuses": deployments}
    service = make_rayservice({"activeServiceStatus": {"applicationStatuses": {"voice": app}}})
    observed = observe_service(cache_children(service), "mei", URL, None, NOW)
    error = "kubevoice.errors.KubeVoiceError: s3://voices/bundles/1: Connection refused"
    assert observed.start_error == error
    assert observed.error is None
