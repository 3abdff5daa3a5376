"""Canaries on a local Ray: the share of requests, promotion, failures. No stable replica restarts, no request fails."""

import http.client
import json
import os
import re
import signal
import threading
from collections import Counter
from contextlib import contextmanager

import local_voice
import pytest
from kubevoice_operator.render.rayservice import BundleRef
from local_voice import DEADLINE_SECONDS, bundle, call, serve_voice, wait_until
from websocket_client import open_websocket

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("only_ray")]

CLIENTS = 3


def render(stable, canary=None, weight=0):
    rollout = ", rollout: {strategy: Canary, steps: [{weight: 30}]}"
    return local_voice.render(stable, canary, weight, rollout)


@pytest.fixture(scope="module")
def serving(tmp_path_factory, toy):
    with serve_voice(tmp_path_factory.mktemp("canary"), toy) as local:
        yield local


def speak(serving, text="你好。"):
    """Synthesize a text; return the status and the revision."""
    status, headers, _ = local_voice.speak(serving, input=text)
    return status, headers["X-Revision"]


def read_revisions(serving):
    return json.loads(call(serving, "GET", "/v1/revisions")[2])


def list_replicas(serving, name):
    return [replica for replica in read_revisions(serving)["replicas"] if replica["track"] == name]


def list_actors(serving):
    """Return the process ids of actors by (application, deployment) and actor id."""
    _, answer = serving.ray.running().request("GET")
    return {
        (application, deployment): {replica["actor_id"]: replica["pid"] for replica in state["replicas"]}
        for application, details in answer["applications"].items()
        for deployment, state in details["deployments"].items()
    }


def count_in_progress(serving):
    exposition = call(serving, "GET", "/metrics")[2].decode()
    (count,) = re.findall(r"^kubevoice_speech_in_progress (\S+)$", exposition, re.MULTILINE)
    return float(count)


def is_alone(serving):
    """Return whether neither the ingress nor Ray has a canary."""
    return "canary" not in read_revisions(serving)["traffic"] and ("canary", "Synthesizer") not in list_actors(serving)


@contextmanager
def run_callers(serving):
    """Synthesize in several threads until the end of the block; yield the list of (status, revision) so far."""
    answers, stop = [], threading.Event()

    def send_requests():
        while not stop.is_set():
            try:
                answers.append(speak(serving))
            except (OSError, http.client.HTTPException) as error:
                answers.append((repr(error), None))

    threads = [threading.Thread(target=send_requests) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def stable(serving, toy):
    """The toy voice, without a canary before and after the test."""
    serving.apply(render(bundle(toy)))
    wait_until(lambda: is_alone(serving))
    serving.wait("toy", toy.digest, DEADLINE_SECONDS)
    yield bundle(toy)
    serving.apply(render(bundle(toy)))
    wait_until(lambda: is_alone(serving))


def test_a_canary_gets_its_share_and_is_promoted_without_a_restart_or_a_failed_request(serving, stable, other_toy):
    before, canary = list_actors(serving), bundle(other_toy)
    with run_callers(serving) as answers:
        serving.apply(render(stable, canary, 30))
        wait_until(lambda: any(r["voices"].get("toy") == canary.revision for r in list_replicas(serving, "canary")))
        wait_until(lambda: speak(serving)[1] == canary.revision)
        start = len(answers)
        wait_until(lambda: len(answers) > start + 400)
        counts, traffic = Counter(revision for _, revision in answers[start:]), read_revisions(serving)["traffic"]
        assert 0.2 < counts[canary.revision] / counts.total() < 0.4
        assert traffic["canary"]["requests"] >= counts[canary.revision] - CLIENTS
        assert traffic["canary"]["errors"] == traffic["stable"]["errors"] == 0
        assert 0 < traffic["canary"]["p95Seconds"] < 60
        serving.apply(render(stable, canary, 90))
        wait_until(lambda: len({revision for _, revision in answers[-5:]} - {stable.revision}) == 1)
        assert read_revisions(serving)["traffic"]["canary"]["requests"] >= traffic["canary"]["requests"]
        serving.apply(render(canary))
        wait_until(lambda: is_alone(serving))
        serving.wait("toy", canary.revision, DEADLINE_SECONDS)
    assert {status for status, _ in answers} == {200}
    assert list_actors(serving) == before
    assert "canary" not in read_revisions(serving)["traffic"]
    assert speak(serving) == (200, canary.revision)


def test_incremental_speech_stays_on_its_track(serving, stable, other_toy):
    """The tracks have different sample rates, so a speech cannot change to the other one."""
    canary, counts = bundle(other_toy), Counter()
    serving.apply(render(stable, canary, 50))
    wait_until(lambda: speak(serving)[1] == canary.revision)
    while len(counts) < 2:
        with open_websocket(serving.url) as connection:
            connection.send("start")
            for _ in range(10):
                connection.send("text", text="你好。再见！")
            connection.send("end")
            assert connection.receive_until_closed() == (1000, "")
        (started,) = connection.events_of("speech.started")
        assert {event["revision"] for event in connection.events_of("speech.sentence.started")} == {started["revision"]}
        counts[started["revision"]] += 1


def test_a_canary_that_cannot_be_loaded_reports_why_and_gets_no_request(serving, stable, tmp_path):
    with run_callers(serving) as answers:
        serving.apply(render(stable, BundleRef("sha256:" + "0" * 64, str(tmp_path / "nothing")), 90))
        wait_until(lambda: any(replica["error"] for replica in list_replicas(serving, "canary")))
        start = len(answers)
        wait_until(lambda: len(answers) > start + 30)
    assert "nothing" in list_replicas(serving, "canary")[0]["error"]
    assert {*answers} == {(200, stable.revision)}
    assert read_revisions(serving)["traffic"]["canary"] == {"requests": 0, "errors": 0, "p95Seconds": None}
    assert call(serving, "GET", "/readyz")[0] == 200


def test_a_canary_that_dies_fails_no_request_and_comes_back(serving, stable, other_toy):
    canary = bundle(other_toy)
    with run_callers(serving) as answers:
        serving.apply(render(stable, canary, 90))
        wait_until(lambda: len([revision for _, revision in answers[-20:] if revision == canary.revision]) > 10)
        (pid,) = list_actors(serving)["canary", "Synthesizer"].values()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(revision == stable.revision for _, revision in answers[-6:]))
        wait_until(lambda: answers[-1][1] == canary.revision)
    assert {status for status, _ in answers} == {200}


def test_a_canary_removed_under_load_gives_its_queue_to_the_stable_replicas(serving, stable, other_toy):
    canary, text, answers = bundle(other_toy), "今天天气真好，我们一起去公园散步吧。" * 100, []
    serving.apply(render(stable, canary, 99))
    wait_until(lambda: speak(serving)[1] == canary.revision)
    # More than its replica accepts at once: when it is removed, some are running and some wait.
    threads = [threading.Thread(target=lambda: answers.append(speak(serving, text))) for _ in range(12)]
    for thread in threads:
        thread.start()
    wait_until(lambda: count_in_progress(serving) > 8)
    serving.apply(render(stable))
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 12
