"""Faults while a voice is trained: each is reported, nothing hangs, and the voice recovers when the cause is gone.

There is no node: the tests write the status of pods.
"""

import operators
import pytest
from kubelet import Voices, build_ended_status, build_failure_message, build_waiting_status

pytestmark = pytest.mark.xdist_group("control_plane")

FAST = {"backoffLimit": 0}
"""The first failed pod fails its Job, without the pauses of Kubernetes between pods."""


@pytest.fixture(scope="module")
def voices(control_plane, rest):
    return Voices(rest, control_plane.namespace("trouble"))


@pytest.fixture(scope="module", autouse=True)
def operator(rest, control_plane, tmp_path_factory):
    with operators.deployed_operator(control_plane, tmp_path_factory.mktemp("operator")) as process:
        yield process
        assert process.metric('kubevoice_operator_reconcile_errors_total{kind="bug"}') == 0


def build_scheduling_status(status, **fields):
    return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": status} | fields]}


UNSCHEDULABLE = build_scheduling_status(
    "False", reason="Unschedulable", message="0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
)
SCHEDULED_LONG_AGO = build_scheduling_status("True", lastTransitionTime="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("name", "status", "reason", "message"),
    [
        ("full", UNSCHEDULABLE, "Unschedulable", "Insufficient nvidia.com/gpu"),
        ("pull", build_waiting_status("ImagePullBackOff", "not found"), "ImagePullFailed", "check the image's name"),
        (
            "secret",
            build_waiting_status("CreateContainerConfigError", 'secret "s3" not found'),
            "PodConfigError",
            'secret "s3"',
        ),
        ("slow", SCHEDULED_LONG_AGO, "PodConfigError", "it has not started for 300 s"),
    ],
)
def test_a_pod_that_does_not_start_is_reported_until_it_succeeds(voices, name, status, reason, message):
    voices.make(name)
    pod = voices.report(name, "prepare", status)
    text = voices.wait_condition(name, "DatasetReady", "False", reason)
    assert message in text
    assert pod in text
    assert voices.condition(name, "Degraded")[:2] == ("True", reason)
    voices.wait("an Event", lambda: "PrepareFailed" in voices.events(name))
    voices.finish(name, "prepare")
    voices.wait_condition(name, "DatasetReady", "True", "Succeeded")
    assert voices.job(name, "train")


def test_an_invalid_dataset_is_not_checked_again_until_requested(voices):
    voices.make("rows")
    first = voices.job("rows", "prepare")
    voices.report(
        "rows",
        "prepare",
        build_ended_status(2, build_failure_message("InvalidInput", "metadata.csv row 2: no such file")),
    )
    assert "metadata.csv row 2" in voices.wait_condition("rows", "DatasetReady", "False", "InvalidInput")
    status = voices.status("rows")
    assert status["phase"] == "Failed"
    failed = status["lastFailure"]
    assert (failed["exitCode"], failed["attempts"], failed["retryable"]) == (2, 1, False)
    assert [*voices.jobs("rows")] == [first["metadata"]["name"]]
    voices.edit("rows", annotations={"kubevoice.io/refresh": "1"})
    voices.wait("another prepare", lambda: len(voices.jobs("rows", "prepare")) == 2)
    (second,) = voices.jobs("rows").keys() - {first["metadata"]["name"]}
    voices.wait("its pod", lambda: voices.pods({"metadata": {"name": second}}))


def test_a_pod_that_exceeded_its_memory_limit_is_reported(voices):
    voices.make("memory", training=FAST)
    voices.report("memory", "prepare", build_ended_status(137, reason="OOMKilled"))
    assert "exceeded its memory limit" in voices.wait_condition("memory", "DatasetReady", "False", "OutOfMemory")
    assert voices.status("memory")["lastFailure"]["reason"] == "OutOfMemory"


def test_a_retry_by_kubernetes_is_reported(voices):
    voices.make("retried")
    voices.report(
        "retried",
        "prepare",
        build_ended_status(1, build_failure_message("StorageError", "s3://data: no route to host")),
    )
    text = voices.wait_condition("retried", "DatasetReady", "False", "Retrying")
    assert "it ended with 1: s3://data: no route to host; another pod will try again" in text
    assert "no route to host" in voices.status("retried")["lastFailure"]["message"]


def test_a_job_that_takes_too_long_ends(voices, rest):
    voices.make("slowly")
    job = voices.job("slowly", "prepare")["metadata"]["name"]
    # Less than the VoiceModel's schema allows, so that the test need not wait a minute.
    rest.patch("jobs", voices.namespace, job, {"spec": {"activeDeadlineSeconds": 1}})
    text = voices.wait_condition("slowly", "DatasetReady", "False", "DeadlineExceeded")
    assert "activeDeadlineSeconds" in text


def test_a_stage_without_its_storage_is_retried(voices):
    voices.make("stored", training=FAST)
    first = voices.job("stored", "prepare")["metadata"]
    voices.report(
        "stored",
        "prepare",
        build_ended_status(1, build_failure_message("StorageError", "s3://data: connection refused")),
    )
    text = voices.wait_condition("stored", "DatasetReady", "False", "StorageError")
    assert "connection refused; it will be tried again" in text

    def list_new_jobs():
        return [job for job in voices.jobs("stored").values() if job["metadata"]["uid"] != first["uid"]]

    voices.wait("another Job of the same name", list_new_jobs)
    assert list_new_jobs()[0]["metadata"]["name"] == first["name"]
    voices.finish("stored", "prepare")
    voices.wait_condition("stored", "DatasetReady", "True", "Succeeded")


def test_a_job_beyond_the_quota_is_reported_until_there_is_room(rest, control_plane):
    voices = Voices(rest, control_plane.namespace("quota"))
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    rest.create("resourcequotas", "quota", quota | {"spec": {"hard": {"count/jobs.batch": "0"}}})
    hard = lambda: rest.get("resourcequotas", "quota", "none").get("status", {}).get("hard")  # noqa: E731
    voices.wait("the status of the quota", hard)
    voices.make("mei")
    assert "exceeded quota: none" in voices.wait_condition("mei", "DatasetReady", "False", "RefusedByApi")
    assert voices.condition("mei", "Degraded")[:2] == ("True", "RefusedByApi")
    rest.delete("resourcequotas", "quota", "none")
    voices.wait("a Job without the quota", lambda: voices.jobs("mei", "prepare"))
    voices.wait_condition("mei", "DatasetReady", "Unknown", "Running")
