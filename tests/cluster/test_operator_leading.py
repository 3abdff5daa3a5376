"""One of several operators acts, and their work survives kills, pauses and outages of the API server."""

import contextlib
import signal
import time

import operators
import pytest
from kubelet import CHAIN, REVISION, Voices

pytestmark = pytest.mark.xdist_group("control_plane")

MOMENT = 6
"""Seconds that a leader goes without renewing its Lease, and some more for the API server's first answers."""
LOST = 15
"""Seconds within which a leader that is gone has a successor: the Lease lasts twelve, and is looked at every two."""


NAMESPACES = ("killed", "slept", "moment", "away", "steps")


@pytest.fixture(scope="module", autouse=True)
def namespaces(control_plane):
    for name in NAMESPACES:
        control_plane.namespace(name)


@pytest.fixture
def replicas(control_plane, tmp_path):
    """Two operators, of which one leads: (leader, other)."""
    with operators.operator(control_plane, tmp_path) as first, other(control_plane, tmp_path) as second:
        yield first, second


@contextlib.contextmanager
def other(control_plane, folder):
    process = operators.OperatorProcess(control_plane, folder / "other.log").start()
    try:
        process.wait("an operator that answers", lambda: process.get("/readyz")[0] == 200)
        yield process
    finally:
        process.stop()


def wait_to_take_over(process, within):
    began = time.monotonic()
    process.wait_to_lead(within + 5)
    assert time.monotonic() - began < within


def test_one_of_two_leads_and_the_other_follows_a_kill(control_plane, rest, replicas):
    first, second = replicas
    assert (first.leads(), second.leads()) == (True, False)
    assert second.get("/healthz") == (200, "ok")
    voices = Voices(rest, "killed")
    voices.make("mei")
    job = voices.job("mei", "prepare")["metadata"]["uid"]
    assert "created Job" not in second.log.read_text()
    first.stop(signal.SIGKILL)
    voices.finish("mei", "prepare")
    wait_to_take_over(second, LOST)
    assert voices.job("mei", "train")
    assert voices.job("mei", "prepare")["metadata"]["uid"] == job


def test_a_leader_that_is_asked_to_stop_lets_go_at_once(replicas):
    first, second = replicas
    assert first.stop() == 0
    wait_to_take_over(second, 5)
    assert second.stop() == 0


def test_a_leader_that_slept_longer_than_its_lease_ends(control_plane, rest, replicas):
    first, second = replicas
    voices = Voices(rest, "slept")
    voices.make("mei")
    uid = voices.job("mei", "prepare")["metadata"]["uid"]
    first.send(signal.SIGSTOP)
    try:
        wait_to_take_over(second, LOST)
        voices.finish("mei", "prepare")
        train = voices.job("mei", "train")["metadata"]["uid"]
    finally:
        first.send(signal.SIGCONT)
    assert first.wait_until_ended(10) == 1
    assert second.leads()
    assert (voices.job("mei", "prepare")["metadata"]["uid"], voices.job("mei", "train")["metadata"]["uid"]) == (
        uid,
        train,
    )
    # Waking up, it has what it last saw in mind, and must not write it down.
    events = voices.events("mei")
    assert sorted(events) == sorted(set(events))
    assert voices.condition("mei", "DatasetReady")[0] == "True"


def test_a_chain_whose_operator_is_killed_at_every_step_comes_to_the_same_end(control_plane, rest, tmp_path):
    voices = Voices(rest, "steps")
    operator = operators.OperatorProcess(control_plane, tmp_path / "operator.log", "--no-election").start()
    try:
        operator.wait_to_lead()
        voices.make("mei")
        voices.make("undisturbed")
        voices.run("undisturbed")
        made = {}
        for stage in CHAIN:
            made |= {stage: voices.job("mei", stage)["metadata"]["uid"]}
            operator.stop(signal.SIGKILL)
            voices.finish("mei", stage)
            voices.wait(f"{stage} to be complete", lambda stage=stage: complete(voices.job("mei", stage)))
            operator.start().wait_to_lead()
        voices.wait_condition("mei", "Available", "False", "KubeRayNotInstalled")
        assert {stage: voices.job("mei", stage)["metadata"]["uid"] for stage in CHAIN} == made
        assert digest(voices, "mei") == digest(voices, "undisturbed") == REVISION
        voices.wait("the Event of the release", lambda: "ReleaseSucceeded" in voices.events("mei"))
        # A new life looks at everything before it speaks, so it repeats nothing. What a killed one had still to tell
        # is lost: statuses are written first, and say it all.
        events = voices.events("mei")
        assert sorted(events) == sorted(set(events))
        operator.stop(signal.SIGKILL)
        voices.delete("mei")
        assert voices.get("mei") is None, "deletable while no operator runs"
        voices.wait("its Jobs to be collected", lambda: not voices.jobs("mei"))
        operator.start().wait_to_lead()
        voices.make("mei")
        assert voices.job("mei", "prepare")["metadata"]["uid"] != made["prepare"]
    finally:
        operator.stop()


@pytest.fixture
def ours_to_break(control_plane):
    """The control plane, if the tests may stop parts of it; they are started again afterwards."""
    if not control_plane.components:
        pytest.skip("this cluster is not ours to break")
    yield control_plane
    control_plane.start("kube-apiserver")


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(ours_to_break, rest, tmp_path):
    voices = Voices(rest, "moment")
    with operators.operator(ours_to_break, tmp_path) as operator:
        voices.make("mei")
        uid = voices.job("mei", "prepare")["metadata"]["uid"]
        began = time.monotonic()
        ours_to_break.stop("kube-apiserver", signal.SIGKILL)
        ours_to_break.start("kube-apiserver")
        if time.monotonic() - began > MOMENT:
            pytest.skip("this machine is too busy to start an API server in a moment")
        voices.finish("mei", "prepare")
        assert voices.job("mei", "train")
        assert voices.job("mei", "prepare")["metadata"]["uid"] == uid
        voices.make("after")
        assert voices.job("after", "prepare")
        assert operator.running()
        assert operator.stop() == 0


def test_an_operator_whose_api_server_is_away_for_long_ends_and_its_next_life_goes_on(ours_to_break, rest, tmp_path):
    voices = Voices(rest, "away")
    with operators.operator(ours_to_break, tmp_path) as operator:
        voices.make("mei")
        uid = voices.job("mei", "prepare")["metadata"]["uid"]
        began = time.monotonic()
        ours_to_break.stop("kube-apiserver", signal.SIGKILL)
        # Before another may lead, so that there are never two.
        assert operator.wait_until_ended(15) == 1
        assert time.monotonic() - began < 15
        ours_to_break.start("kube-apiserver")
        operator.start().wait_to_lead()
        voices.finish("mei", "prepare")
        assert voices.job("mei", "train")
        assert voices.job("mei", "prepare")["metadata"]["uid"] == uid


def test_an_operator_starts_while_the_api_server_is_away(ours_to_break, tmp_path):
    operator = operators.OperatorProcess(ours_to_break, tmp_path / "early.log")
    ours_to_break.stop("kube-apiserver", signal.SIGKILL)
    try:
        operator.start()
        operator.wait("an operator that answers", lambda: operator.get("/readyz")[0] == 200)
        ours_to_break.start("kube-apiserver")
        operator.wait_to_lead(LOST + 10)
    finally:
        operator.stop()


def complete(job):
    return any(c["type"] == "Complete" and c["status"] == "True" for c in job["status"].get("conditions", ()))


def digest(voices, name):
    return voices.status(name)["revisions"][0]["digest"]
