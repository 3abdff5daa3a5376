"""Problems of pods are found in their status, and described with advice."""

from datetime import UTC, datetime, timedelta

import pytest
from kubevoice.resources.conditions import Reason
from kubevoice_operator.cluster.pod_issues import find_pod_issue, find_termination, parse_timestamp

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_pod(**status):
    return {"metadata": {"name": "p"}, "status": {"phase": "Pending"} | status}


def make_container_status(waiting=None, last=None, **state):
    status = {"name": "stage", "image": "voice:1", "state": {"waiting": waiting} if waiting else state}
    return status | ({"lastState": {"terminated": last}} if last else {})


def make_scheduled_condition(status, seconds=0, **fields):
    since = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "PodScheduled", "status": status, "lastTransitionTime": since} | fields


@pytest.mark.parametrize(
    ("waiting_reason", "reason", "advice"),
    [
        ("ErrImagePull", Reason.IMAGE_PULL_FAILED, "cannot pull image voice:1"),
        ("ImagePullBackOff", Reason.IMAGE_PULL_FAILED, "check the image's name"),
        ("InvalidImageName", Reason.IMAGE_PULL_FAILED, "voice:1"),
        ("ErrImageNeverPull", Reason.IMAGE_PULL_FAILED, "voice:1"),
        ("CreateContainerConfigError", Reason.POD_CONFIG_ERROR, "create what it names"),
        ("CreateContainerError", Reason.POD_CONFIG_ERROR, "create what it names"),
        ("RunContainerError", Reason.POD_CONFIG_ERROR, "create what it names"),
        ("CrashLoopBackOff", Reason.POD_CRASHING, "the kubelet's words"),
    ],
)
def test_a_container_that_cannot_start(waiting_reason, reason, advice):
    issue = find_pod_issue(
        make_pod(
            containerStatuses=[make_container_status({"reason": waiting_reason, "message": "the kubelet's words"})]
        ),
        NOW,
    )
    assert (issue.reason, issue.pod) == (reason, "p")
    assert "the kubelet's words" in issue.message
    assert advice in issue.message


@pytest.mark.parametrize("waiting_reason", ["ContainerCreating", "PodInitializing", ""])
def test_a_container_that_is_being_created_has_no_problem(waiting_reason):
    assert find_pod_issue(make_pod(containerStatuses=[make_container_status({"reason": waiting_reason})]), NOW) is None


def test_a_problem_of_an_init_container_is_found():
    waiting = make_container_status({"reason": "ErrImagePull"})
    assert find_pod_issue(make_pod(initContainerStatuses=[waiting]), NOW).reason is Reason.IMAGE_PULL_FAILED


def test_a_crash_loop_is_out_of_memory_or_has_the_exit_code():
    loop = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
    killed = find_pod_issue(
        make_pod(containerStatuses=[make_container_status(loop, {"exitCode": 137, "reason": "OOMKilled"})]), NOW
    )
    assert killed.reason is Reason.OUT_OF_MEMORY
    crashed = find_pod_issue(make_pod(containerStatuses=[make_container_status(loop, {"exitCode": 3})]), NOW)
    assert crashed.message == "back-off 10s; it ended with 3 (no reason given)"


def test_an_unschedulable_pod():
    condition = make_scheduled_condition("False", reason="Unschedulable", message="0/3 nodes are available")
    issue = find_pod_issue(make_pod(conditions=[condition]), NOW)
    assert (issue.reason, issue.message) == (Reason.UNSCHEDULABLE, "0/3 nodes are available")
    assert (
        find_pod_issue(make_pod(conditions=[make_scheduled_condition("False", reason="SchedulingGated")]), NOW) is None
    )


@pytest.mark.parametrize(("seconds", "slow"), [(299, False), (301, True)])
def test_a_pod_that_does_not_start_for_long(seconds, slow):
    issue = find_pod_issue(
        make_pod(conditions=[{"type": "Ready", "status": "False"}, make_scheduled_condition("True", seconds)]), NOW
    )
    assert (issue is not None) == slow
    assert not slow or "kubectl describe pod p" in issue.message


def test_a_pod_that_runs_has_ended_or_is_deleted_has_no_problem():
    late, bad = make_scheduled_condition("True", 999), make_container_status({"reason": "ErrImagePull"})
    assert find_pod_issue(make_pod(phase="Running", conditions=[late]), NOW) is None
    for phase in ("Succeeded", "Failed"):
        assert find_pod_issue(make_pod(phase=phase, containerStatuses=[bad]), NOW) is None
    deleted = make_pod(containerStatuses=[bad])
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert find_pod_issue(deleted, NOW) is None
    assert find_pod_issue({"metadata": {"name": "p"}}, NOW) is None


def test_the_termination_of_a_container():
    other = {"name": "other", "state": {"terminated": {"exitCode": 1}}}
    ended = make_pod(containerStatuses=[other, make_container_status(terminated={"exitCode": 0})])
    assert find_termination(ended, "stage") == {"exitCode": 0}
    assert find_termination(ended) == {"exitCode": 1}
    assert find_termination(make_pod(containerStatuses=[make_container_status(running={})]), "stage") is None
    assert find_termination(make_pod()) is None


def test_timestamps_are_in_utc():
    assert parse_timestamp("2026-01-01T00:00:00Z") == NOW
    assert parse_timestamp(None) is None
