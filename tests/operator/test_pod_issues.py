"""What keeps a pod from its work is read from its status, and told with what to do about it."""

from datetime import UTC, datetime, timedelta

import pytest
from kubevoice.resources.conditions import Reason
from kubevoice_operator.cluster.pod_issues import find_pod_issue, find_termination, parse_timestamp

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(**status):
    return {"metadata": {"name": "p"}, "status": {"phase": "Pending"} | status}


def container(waiting=None, last=None, **state):
    status = {"name": "stage", "image": "voice:1", "state": {"waiting": waiting} if waiting else state}
    return status | ({"lastState": {"terminated": last}} if last else {})


def scheduled_condition(status, seconds=0, **more):
    since = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "PodScheduled", "status": status, "lastTransitionTime": since} | more


@pytest.mark.parametrize(
    ("word", "reason", "advice"),
    [
        ("ErrImagePull", Reason.IMAGE_PULL_FAILED, "cannot pull image voice:1"),
        ("ImagePullBackOff", Reason.IMAGE_PULL_FAILED, "check the image's name"),
        ("InvalidImageName", Reason.IMAGE_PULL_FAILED, "voice:1"),
        ("ErrImageNeverPull", Reason.IMAGE_PULL_FAILED, "voice:1"),
        ("CreateContainerConfigError", Reason.POD_CONFIG_ERROR, "create what it names"),
        ("CreateContainerError", Reason.POD_CONFIG_ERROR, "create what it names"),
        ("RunContainerError", Reason.POD_CONFIG_ERROR, "create what it names"),
        ("CrashLoopBackOff", Reason.POD_CRASHING, "said so"),
    ],
)
def test_a_container_that_waits_in_vain(word, reason, advice):
    issue = find_pod_issue(pod(containerStatuses=[container({"reason": word, "message": "said so"})]), NOW)
    assert (issue.reason, issue.pod) == (reason, "p")
    assert "said so" in issue.message
    assert advice in issue.message


@pytest.mark.parametrize("word", ["ContainerCreating", "PodInitializing", ""])
def test_a_container_that_is_being_made_is_no_trouble(word):
    assert find_pod_issue(pod(containerStatuses=[container({"reason": word})]), NOW) is None


def test_an_init_container_counts_too():
    waiting = container({"reason": "ErrImagePull"})
    assert find_pod_issue(pod(initContainerStatuses=[waiting]), NOW).reason is Reason.IMAGE_PULL_FAILED


def test_a_crash_by_memory_is_called_so_and_another_says_how_it_ended():
    loop = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
    killed = find_pod_issue(pod(containerStatuses=[container(loop, {"exitCode": 137, "reason": "OOMKilled"})]), NOW)
    assert killed.reason is Reason.OUT_OF_MEMORY
    crashed = find_pod_issue(pod(containerStatuses=[container(loop, {"exitCode": 3})]), NOW)
    assert crashed.message == "back-off 10s; it ended with 3 (no reason given)"


def test_no_room():
    condition = scheduled_condition("False", reason="Unschedulable", message="0/3 nodes are available")
    issue = find_pod_issue(pod(conditions=[condition]), NOW)
    assert (issue.reason, issue.message) == (Reason.UNSCHEDULABLE, "0/3 nodes are available")
    assert find_pod_issue(pod(conditions=[scheduled_condition("False", reason="SchedulingGated")]), NOW) is None


@pytest.mark.parametrize(("seconds", "slow"), [(299, False), (301, True)])
def test_a_start_that_takes_very_long(seconds, slow):
    issue = find_pod_issue(
        pod(conditions=[{"type": "Ready", "status": "False"}, scheduled_condition("True", seconds)]), NOW
    )
    assert (issue is not None) == slow
    assert not slow or "kubectl describe pod p" in issue.message


def test_a_pod_that_runs_has_ended_or_goes_away_has_no_trouble():
    late, bad = scheduled_condition("True", 999), container({"reason": "ErrImagePull"})
    assert find_pod_issue(pod(phase="Running", conditions=[late]), NOW) is None
    for phase in ("Succeeded", "Failed"):
        assert find_pod_issue(pod(phase=phase, containerStatuses=[bad]), NOW) is None
    leaving = pod(containerStatuses=[bad])
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert find_pod_issue(leaving, NOW) is None
    assert find_pod_issue({"metadata": {"name": "p"}}, NOW) is None


def test_how_a_container_ended():
    other = {"name": "other", "state": {"terminated": {"exitCode": 1}}}
    done = pod(containerStatuses=[other, container(terminated={"exitCode": 0})])
    assert find_termination(done, "stage") == {"exitCode": 0}
    assert find_termination(done) == {"exitCode": 1}
    assert find_termination(pod(containerStatuses=[container(running={})]), "stage") is None
    assert find_termination(pod()) is None


def test_times_have_their_zone():
    assert parse_timestamp("2026-01-01T00:00:00Z") == NOW
    assert parse_timestamp(None) is None
