"""One of several operators acts, and their work survives kills, pauses and outages of the API server."""

import contextlib
import signal
import time

import operators
import pytest
from kubelet import CHAIN, REVISION, Voices

pytestmark = pytest.mark.xdist_group("control_plane")

SHORT_OUTAGE_SECONDS = 6
"""Seconds for which a leader may fail to renew its Lease, without those for the API server's first responses."""
TAKEOVER_SECONDS = 15
"""Seconds within which another process leads: the Lease lasts 12 s, and candidates read it every 2 s."""


NAMESPACES = ("killed", "suspended", "moment", "away", "steps")


@pytest.fixture(scope="module", autouse=True)
def namespaces(control_plane):
    for name in NAMESPACES:
        control_plane.namespace(name)


@pytest.fixture
def replicas(control_plane, tmp_path):
    """Two operators, of which one leads: (leader, other)."""
    with operators.operator(control_plane, tmp_path) as first, start_other(control_plane, tmp_path) as second:
        yield first, second


@contextlib.contextmanager
def start_other(control_plane, folder):
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


def test_one_of_two_leads_and_the_other_takes_over_after_a_kill(control_plane, rest, replicas):
    first, second = replicas
    assert (first.leads(), second.leads()) == (True, False)
    assert second.get("/healthz") == (200, "ok")
    voices = Voices(rest, "killed")
    voices.make("mei")
    job = voices.job("mei", "prepare")["metadata"]["uid"]
    assert "created Job" not in second.log.read_text()
    first.stop(signal.SIGKILL)
    voices.finish("mei", "prepare")
    wait_to_take_over(second, TAKEOVER_SECONDS)
    assert voices.job("mei", "train")
    assert voices.job("mei", "prepare")["metadata"]["uid"] == job


def test_a_leader_that_is_stopped_releases_its_lease_at_once(replicas):
    first, second = replicas
    assert first.stop() == 0
    wait_to_take_over(second, 5)
    assert second.stop() == 0


def test_a_leader_that_was_suspended_longer_than_its_lease_ends(control_plane, rest, replicas):
    first, second = replicas
    voices = Voices(rest, "suspended")
    voices.make("mei")
    uid = voices.job("mei", "prepare")["metadata"]["uid"]
    first.send(signal.SIGSTOP)
    try:
        wait_to_take_over(second, TAKEOVER_SECONDS)
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
    # When it continues, its cache is old, and it must not write it to the status.
    events = voices.events("mei")
    assert sorted(events) == sorted(set(events))
    assert voices.condition("mei", "DatasetReady")[0] == "True"


def test_a_pipeline_has_the_same_result_if_the_operator_is_killed_at_every_step(control_plane, rest, tmp_path):
    voices = Voices(rest, "steps")
    operator = operators.OperatorProcess(control_plane, tmp_path / "operator.log", "--no-election").start()
    try:
        operator.wait_to_lead()
        voices.make("mei")
        voices.make("undisturbed")
        voices.run("undisturbed")
        uids = {}
        for stage in CHAIN:
            uids |= {stage: voices.job("mei", stage)["metadata"]["uid"]}
            operator.stop(signal.SIGKILL)
            voices.finish("mei", stage)
            voices.wait(f"{stage} to be complete", lambda stage=stage: is_complete(voices.job("mei", stage)))
            operator.start().wait_to_lead()
        voices.wait_condition("mei", "Available", "False", "KubeRayNotInstalled")
        assert {stage: voices.job("mei", stage)["metadata"]["uid"] for stage in CHAIN} == uids
        assert read_digest(voices, "mei") == read_digest(voices, "undisturbed") == REVISION
        voices.wait("the last Event", lambda: "ReleaseSucceeded" in voices.events("mei"))
        # A new process lists all objects before it sends Events, so it repeats none. Events that a killed process had
        # not sent are lost; the status, which is written first, has all of their content.
        events = voices.events("mei")
        assert sorted(events) == sorted(set(events))
        operator.stop(signal.SIGKILL)
        voices.delete("mei")
        assert voices.get("mei") is None, "deletable while no operator runs"
        voices.wait("the deletion of its Jobs", lambda: not voices.jobs("mei"))
        operator.start().wait_to_lead()
        voices.make("mei")
        assert voices.job("mei", "prepare")["metadata"]["uid"] != uids["prepare"]
    finally:
        operator.stop()


@pytest.fixture
def breakable_plane(control_plane):
    """The control plane, if the tests may stop its API server, which is started again after the test."""
    if not control_plane.components:
        pytest.skip("the tests must not stop parts of an existing cluster")
    yield control_plane
    control_plane.start("kube-apiserver")


def test_a_short_outage_of_the_api_server_does_not_end_the_operator(breakable_plane, rest, tmp_path):
    voices = Voices(rest, "moment")
    with operators.operator(breakable_plane, tmp_path) as operator:
        voices.make("mei")
        uid = voices.job("mei", "prepare")["metadata"]["uid"]
        began = time.monotonic()
        breakable_plane.stop("kube-apiserver", signal.SIGKILL)
        breakable_plane.start("kube-apiserver")
        if time.monotonic() - began > SHORT_OUTAGE_SECONDS:
            pytest.skip("this machine is too busy to start an API server in a moment")
        voices.finish("mei", "prepare")
        assert voices.job("mei", "train")
        assert voices.job("mei", "prepare")["metadata"]["uid"] == uid
        voices.make("after")
        assert voices.job("after", "prepare")
        assert operator.running()
        assert operator.stop() == 0


def test_a_long_outage_of_the_api_server_ends_the_operator_and_the_next_process_continues(
    breakable_plane, rest, tmp_path
):
    voices = Voices(rest, "away")
    with operators.operator(breakable_plane, tmp_path) as operator:
        voices.make("mei")
        uid = voices.job("mei", "prepare")["metadata"]["uid"]
        began = time.monotonic()
        breakable_plane.stop("kube-apiserver", signal.SIGKILL)
        # It ends before another process may lead, so that two never lead.
        assert operator.wait_until_ended(15) == 1
        assert time.monotonic() - began < 15
        breakable_plane.start("kube-apiserver")
        operator.start().wait_to_lead()
        voices.finish("mei", "prepare")
        assert voices.job("mei", "train")
        assert voices.job("mei", "prepare")["metadata"]["uid"] == uid


def test_an_operator_starts_while_the_api_server_is_away(breakable_plane, tmp_path):
    operator = operators.OperatorProcess(breakable_plane, tmp_path / "early.log")
    breakable_plane.stop("kube-apiserver", signal.SIGKILL)
    try:
        operator.start()
        operator.wait("an operator that answers", lambda: operator.get("/readyz")[0] == 200)
        breakable_plane.start("kube-apiserver")
        operator.wait_to_lead()
    finally:
        operator.stop()


def is_complete(job):
    return any(c["type"] == "Complete" and c["status"] == "True" for c in job["status"].get("conditions", ()))


def read_digest(voices, name):
    return voices.status(name)["revisions"][0]["digest"]
