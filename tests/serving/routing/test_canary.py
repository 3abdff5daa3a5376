"""A canary on a real Ray: it gets its share, no stable replica restarts, and no caller's request fails."""

import http.client
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager

import local_voice
import pytest
from kubevoice_operator.render.rayservice import BundleRef
from live_caller import open_call
from local_voice import DEADLINE_SECONDS, bundle, call, serve_voice

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
    """Status, and the revision that spoke."""
    status, headers, _ = local_voice.speak(serving, input=text)
    return status, headers["X-Revision"]


def revisions(serving):
    return json.loads(call(serving, "GET", "/v1/revisions")[2])


def track(serving, name):
    return [replica for replica in revisions(serving)["replicas"] if replica["track"] == name]


def replicas(serving):
    """Actors of every deployment, by application and deployment."""
    _, answer = serving.ray.running().request("GET")
    return {
        (application, deployment): {replica["actor_id"]: replica["pid"] for replica in state["replicas"]}
        for application, details in answer["applications"].items()
        for deployment, state in details["deployments"].items()
    }


def in_progress(serving):
    exposition = call(serving, "GET", "/metrics")[2].decode()
    (count,) = re.findall(r"^kubevoice_speech_in_progress (\S+)$", exposition, re.MULTILINE)
    return float(count)


def is_alone(serving):
    """Whether there is no canary, by the HTTP process and by Ray."""
    return "canary" not in revisions(serving)["traffic"] and ("canary", "Synthesizer") not in replicas(serving)


def until(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@contextmanager
def callers(serving):
    """Applications that speak all the while; every answer they get."""
    answers, done = [], threading.Event()

    def ask():
        while not done.is_set():
            try:
                answers.append(speak(serving))
            except (OSError, http.client.HTTPException) as error:
                answers.append((repr(error), None))

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def stable(serving, toy):
    """Begin with the toy voice alone, end without a canary."""
    serving.apply(render(bundle(toy)))
    until(lambda: is_alone(serving))
    serving.wait("toy", toy.digest, DEADLINE_SECONDS)
    yield bundle(toy)
    serving.apply(render(bundle(toy)))
    until(lambda: is_alone(serving))


def test_a_canary_gets_its_share_and_is_promoted_without_a_restart_or_a_failure(serving, stable, other_toy):
    before, trial = replicas(serving), bundle(other_toy)
    with callers(serving) as answers:
        serving.apply(render(stable, trial, 30))
        until(lambda: any(r["voices"].get("toy") == trial.revision for r in track(serving, "canary")))
        until(lambda: speak(serving)[1] == trial.revision)
        begun = len(answers)
        until(lambda: len(answers) > begun + 400)
        seen, traffic = Counter(revision for _, revision in answers[begun:]), revisions(serving)["traffic"]
        assert 0.2 < seen[trial.revision] / seen.total() < 0.4
        assert traffic["canary"]["requests"] >= seen[trial.revision] - CLIENTS
        assert traffic["canary"]["errors"] == traffic["stable"]["errors"] == 0
        assert 0 < traffic["canary"]["p95Seconds"] < 60
        serving.apply(render(stable, trial, 90))
        until(lambda: len({revision for _, revision in answers[-5:]} - {stable.revision}) == 1)
        assert revisions(serving)["traffic"]["canary"]["requests"] >= traffic["canary"]["requests"]
        serving.apply(render(trial))
        until(lambda: is_alone(serving))
        serving.wait("toy", trial.revision, DEADLINE_SECONDS)
    assert {status for status, _ in answers} == {200}
    assert replicas(serving) == before
    assert "canary" not in revisions(serving)["traffic"]
    assert speak(serving) == (200, trial.revision)


def test_incremental_speech_stays_with_the_track_that_began_it(serving, stable, other_toy):
    """They have different sample rates, so that it could not even go on with the other."""
    trial, begun = bundle(other_toy), Counter()
    serving.apply(render(stable, trial, 50))
    until(lambda: speak(serving)[1] == trial.revision)
    while len(begun) < 2:
        with open_call(serving.url) as caller:
            caller.say("start")
            for _ in range(10):
                caller.say("text", text="你好。再见！")
            caller.say("end")
            assert caller.end() == (1000, "")
        (started,) = caller.events_of("speech.started")
        assert {event["revision"] for event in caller.events_of("speech.sentence.started")} == {started["revision"]}
        begun[started["revision"]] += 1


def test_a_canary_that_cannot_be_loaded_reports_why_and_gets_no_request(serving, stable, tmp_path):
    with callers(serving) as answers:
        serving.apply(render(stable, BundleRef("sha256:" + "0" * 64, str(tmp_path / "nothing")), 90))
        until(lambda: any(replica["error"] for replica in track(serving, "canary")))
        begun = len(answers)
        until(lambda: len(answers) > begun + 30)
    assert "nothing" in track(serving, "canary")[0]["error"]
    assert {*answers} == {(200, stable.revision)}
    assert revisions(serving)["traffic"]["canary"] == {"requests": 0, "errors": 0, "p95Seconds": None}
    assert call(serving, "GET", "/readyz")[0] == 200


def test_a_canary_that_dies_fails_no_request_and_comes_back(serving, stable, other_toy):
    trial = bundle(other_toy)
    with callers(serving) as answers:
        serving.apply(render(stable, trial, 90))
        until(lambda: len([revision for _, revision in answers[-20:] if revision == trial.revision]) > 10)
        (pid,) = replicas(serving)["canary", "Synthesizer"].values()
        os.kill(pid, signal.SIGKILL)
        until(lambda: all(revision == stable.revision for _, revision in answers[-6:]))
        until(lambda: answers[-1][1] == trial.revision)
    assert {status for status, _ in answers} == {200}


def test_a_canary_removed_under_load_gives_its_queue_to_the_stable_replicas(serving, stable, other_toy):
    trial, text, answers = bundle(other_toy), "今天天气真好，我们一起去公园散步吧。" * 100, []
    serving.apply(render(stable, trial, 99))
    until(lambda: speak(serving)[1] == trial.revision)
    # More than its replica takes at once: some are at work when it goes, some wait.
    threads = [threading.Thread(target=lambda: answers.append(speak(serving, text))) for _ in range(12)]
    for thread in threads:
        thread.start()
    until(lambda: in_progress(serving) > 8)
    serving.apply(render(stable))
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 12
