"""A voice on a node: created, served, scaled, changed and rolled back. The tests run in this order."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ray_jobs import submit_ray_jobs
from ray_objects import (
    list_ray_clusters,
    list_replacements,
    list_workers,
    read_active_cluster,
    read_bounds,
    wait_for_single_cluster,
)

import voices
from voices import HTTP, Client, Voice, answers, list_objects, read_speech_revision

MOST_TRANSITIONS = 12
pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.slow]


@pytest.fixture(scope="module")
def namespace(node):
    return voices.prepare(node, "voices")


@pytest.fixture(scope="module")
def mei(node, namespace):
    dataset = voices.upload_dataset(node.s3, "words")
    voice = Voice(node, voices.voicemodel(node.s3, "mei", namespace, dataset, steps=320))
    yield voice
    voice.delete()
    voice.wait("the end of its pods", lambda: not voice.pods(), 420)


def read_revision(voice):
    return voice.status.get("serving", {}).get("revision")


def test_an_applied_voice_is_trained_and_served(node, mei):
    progress = []
    mei.apply()

    def is_trained():
        training = mei.status.get("training", {})
        progress.append((training.get("step", 0), training.get("loss"), training.get("etaSeconds")))
        return mei.condition("Trained").get("status") == "True"

    began = time.monotonic()
    with mei.record_versions() as versions:
        mei.wait("the end of its training", is_trained, 420)
    # Progress is written at most every two seconds; the rest is for the steps of the pipeline.
    assert len({*versions}) < (time.monotonic() - began) / 2 + MOST_TRANSITIONS
    steps = sorted({step for step, _, _ in progress})
    assert len(steps) > 2, f"no progress: {progress}"
    assert any(loss for _, loss, _ in progress), "no loss was shown while it trained"
    assert any(eta for _, _, eta in progress), "no ETA was shown while it trained"
    node.kubectl("wait", "--for=condition=Ready", f"vm/{mei.name}", "-n", mei.namespace, "--timeout=420s")
    status = mei.status
    assert status["phase"] == "Ready"
    assert status["dataset"]["clips"] == 24
    assert status["dataset"]["digest"].startswith("sha256:")
    assert {"neutral", "happy", "sad"} <= status["dataset"]["perEmotion"].keys()
    (revision,) = status["revisions"]
    assert (revision["state"], revision["verdict"]) == ("Serving", "Reported")
    assert "pinyinErrorRate" in revision["metrics"]
    assert status["serving"]["replicas"] == {"desired": 1, "ready": 1, "byRevision": {revision["digest"]: 1}}
    assert status["serving"]["url"] == f"http://mei-serve-svc.{mei.namespace}.svc:8000"
    code, headers, body = mei.speak("今天天气真好。", emotion="happy")
    assert (code, body[:4]) == (200, b"RIFF"), body[:300]
    assert submit_ray_jobs(mei) == {"no token": 401, "a wrong token": 403, "the cluster's token": 200}
    assert {k.lower(): v for k, v in headers.items()}["x-revision"] == revision["digest"]


def test_kubectl_shows_the_phase_and_the_events(node, mei):
    table = node.kubectl("get", "vm", "-n", mei.namespace)
    (row,) = [line.split() for line in table.splitlines()[1:]]
    assert row[1:4] == ["Ready", "Serving", "100%"]
    assert {mei.status["serving"]["revision"][7:19], "1/1"} <= {*row}
    assert "REASON" in table
    description = mei.describe()
    reasons = "PrepareStarted PrepareSucceeded TrainSucceeded ReleaseSucceeded RolloutStarted Serving"
    for reason in reasons.split():
        assert reason in description, description


def test_applying_the_same_spec_again_changes_nothing(mei):
    before = mei.raw
    jobs = {job["metadata"]["uid"] for job in mei.jobs()}
    mei.apply()
    assert {job["metadata"]["uid"] for job in mei.jobs()} == jobs
    assert mei.raw["metadata"]["generation"] == before["metadata"]["generation"]


def test_other_thresholds_repeat_only_the_gate_and_a_failure_keeps_the_old_revision(mei):
    jobs = {job["metadata"]["name"] for job in mei.jobs() if "release" not in job["metadata"]["name"]}
    old = read_revision(mei)
    mei.apply(evaluation={"policy": "Enforce", "maxMelCepstralDistortion": 0.01})
    mei.wait_condition("Evaluated", "False", "GateFailed", timeout=420)
    message = mei.wait_condition("Ready", "False", "GateFailed")["message"]
    assert "melCepstralDistortion" in message
    assert "keeps serving" in message
    assert mei.condition("Available")["status"] == "True"
    assert read_speech_revision(mei) == old
    assert {job["metadata"]["name"] for job in mei.jobs() if "release" not in job["metadata"]["name"]} == jobs
    mei.apply(evaluation={"policy": "Report"})
    mei.wait_ready(180)
    assert read_revision(mei) == old


def test_other_parameters_train_again_and_are_served_without_a_failed_request(mei):
    old = read_revision(mei)
    prepare_jobs = [job["metadata"]["uid"] for job in mei.jobs("prepare")]
    pods = {pod["metadata"]["uid"] for pod in mei.pods("ray.io/node-type")}
    mei.apply(training={"maxSteps": 8})
    mei.wait("the status of the new training", lambda: mei.condition("Ready").get("status") == "False", 180)
    with Client(mei) as client:
        mei.wait_ready(420)
        new = read_revision(mei)
        mei.wait("speech of the new revision", lambda: new in client.revisions, 180)
    assert client.failures == []
    assert new != old
    assert set(client.revisions) == {old, new}
    assert [job["metadata"]["uid"] for job in mei.jobs("prepare")] == prepare_jobs
    assert {pod["metadata"]["uid"] for pod in mei.pods("ray.io/node-type")} == pods, "a hot swap needs no new pod"
    states = {r["digest"]: r["state"] for r in mei.status["revisions"]}
    assert states == {new: "Serving", old: "Superseded"}


def test_a_pinned_revision_is_served_without_another_job(mei):
    (old,) = [r["digest"] for r in mei.status["revisions"] if r["state"] == "Superseded"]
    jobs = {job["metadata"]["uid"] for job in mei.jobs()}
    mei.apply(revision=old)
    mei.wait("the old revision", lambda: read_revision(mei) == old, 180)
    assert {job["metadata"]["uid"] for job in mei.jobs()} == jobs
    assert read_speech_revision(mei) == old
    mei.wait_ready(60)
    del mei.model["spec"]["revision"]
    mei.apply()
    mei.wait("the new revision", lambda: read_revision(mei) not in (old, None), 180)


def test_replicas_and_pods_grow_under_load_and_shrink_after_without_a_failed_request(node, mei):
    mei.apply(
        serving={"maxReplicas": 2, "targetOngoingRequests": 1, "upscaleDelaySeconds": 1, "downscaleDelaySeconds": 15}
    )
    mei.wait_ready(180)

    def is_ready():
        return mei.status["serving"]["replicas"]["ready"]

    mei.wait("bounds on the running cluster", lambda: read_bounds(node, mei)[1] >= 2, 180)
    clients = [Client(mei, pause=0) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        mei.wait("a second replica", lambda: len(list_workers(mei)) == 2 and is_ready() == 2, 420)
    finally:
        for client in clients:
            client.__exit__()
    assert [failure for client in clients for failure in client.failures] == []
    mei.wait("one replica again", lambda: len(list_workers(mei)) == 1 and is_ready() == 1, 420)
    assert mei.speak()[0] == 200


def test_kubectl_scale_sets_the_minimum_and_a_lower_maximum_fails_no_request(node, mei):
    (before,) = list_objects(node, "rayclusters", mei.namespace)
    node.kubectl("scale", f"vm/{mei.name}", "-n", mei.namespace, "--replicas=2")
    mei.model["spec"]["serving"]["minReplicas"] = 2
    mei.wait("the minimum", lambda: read_bounds(node, mei)[0] == 2, 180)
    mei.wait("two replicas", lambda: mei.status["serving"]["replicas"]["ready"] == 2, 420)
    (after,) = list_objects(node, "rayclusters", mei.namespace)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    with Client(mei) as client:
        mei.apply(serving={"minReplicas": 1, "maxReplicas": 1})
        mei.wait("one worker", lambda: len(list_workers(mei)) == 1, 420)
        mei.wait("the bounds", lambda: read_bounds(node, mei) == (1, 1), 120)
    assert client.failures == []
    assert mei.status["serving"]["replicas"]["ready"] == 1


def test_a_canary_gets_its_share_and_is_promoted(mei):
    old = read_revision(mei)
    rollout = {"strategy": "Canary", "steps": [{"weight": 50, "pauseSeconds": 8}, {"weight": 80, "pauseSeconds": 2}]}
    mei.apply(serving={"rollout": rollout}, evaluation={"sentences": ["你好。"]})
    with Client(mei) as client:
        mei.wait("a canary", lambda: mei.status["serving"].get("canaryWeight"), 420)
        mei.wait_ready(300)
        new = read_revision(mei)
    assert client.failures == []
    assert new != old
    revisions = client.revisions
    assert old in revisions[revisions.index(new) :], "the old revision must answer beside the canary"
    for share in ("gets 50 %", "gets 80 %"):
        assert share in mei.describe()


def test_a_canary_that_is_too_slow_is_rejected(mei):
    old = read_revision(mei)
    rollout = {"strategy": "Canary", "steps": [{"weight": 90, "pauseSeconds": 300}], "maxLatencySeconds": 0.0001}
    mei.apply(serving={"rollout": rollout}, evaluation={"sentences": ["再见。"]})
    with Client(mei) as client:
        message = mei.wait_condition("Ready", "False", "CanaryBackedOut", timeout=420)["message"]
        mei.wait("the old revision alone", lambda: read_revision(mei) == old, 180)
    assert "maxLatencySeconds" in message
    assert client.failures == []
    assert mei.status["revisions"][0]["state"] == "Rejected"
    assert mei.condition("Available")["status"] == "True"
    mei.apply(serving={"rollout": {"strategy": "Immediate", "steps": []}}, evaluation={"sentences": ["你好。"]})
    mei.wait_ready(240)


def test_with_policy_delete_artifacts_of_old_revisions_are_deleted(node, mei):
    folder = f"{mei.namespace}/{mei.name}/"
    before = {r["digest"]: set(r["artifacts"]) for r in mei.status["revisions"]}
    needed = before[read_revision(mei)]
    unneeded = set().union(*before.values()) - needed
    assert len(before) > 2

    def list_stored():
        parts = (key.removeprefix(folder).split("/") for key in voices.list_keys(node.s3, "voices", folder))
        return {"/".join(part[:2]) for part in parts}

    assert unneeded & list_stored()
    mei.apply(deletionPolicy="Delete", revisionHistoryLimit=1)
    mei.wait("a short history", lambda: [r["digest"] for r in mei.status["revisions"]] == [read_revision(mei)], 420)
    assert needed <= list_stored()
    assert not unneeded & list_stored()
    assert read_speech_revision(mei) == read_revision(mei)
    mei.apply(deletionPolicy="Retain")


def test_the_service_answers_requests_for_speech_and_revisions(mei):
    with HTTP.open(f"{mei.endpoint()}/v1/revisions", timeout=10) as answer:
        body = json.load(answer)
    assert {replica["track"] for replica in body["replicas"]} == {"stable"}
    with ThreadPoolExecutor(4) as pool:
        assert {status for status, _, _ in pool.map(lambda _: mei.speak(), range(8))} == {200}


@pytest.mark.parametrize("kind", ["worker", "head"])
def test_a_killed_pod_of_ray_is_replaced_and_the_voice_recovers(node, mei, kind):
    revision, names = read_revision(mei), []

    def has_one_pod():
        """Wait for one pod in any phase: a worker of a canary, or one for earlier load, may still exist."""
        names[:] = [p["metadata"]["name"] for p in mei.pods(f"ray.io/node-type={kind}")]
        return len(names) == 1

    mei.wait(f"one {kind}", has_one_pod, 300)
    (killed,) = names
    node.kubectl("delete", "pod", killed, "-n", mei.namespace, "--grace-period=0", "--force")
    if kind == "head":
        mei.wait("the end of its availability", lambda: mei.condition("Available").get("status") == "False", 120)
    mei.wait("another pod", lambda: list_replacements(mei, killed, kind), 420)
    mei.wait("speech", lambda: answers(mei), 300)
    mei.wait_ready(300)
    assert read_revision(mei) == revision


def test_other_resources_need_another_ray_cluster_which_replaces_the_first_when_it_is_ready(node, mei):
    starting = []

    def list_starting_workers():
        """Return the workers whose init container still waits for the head."""
        pods = [pod for pod in mei.pods("ray.io/node-type=worker") if not pod["metadata"].get("deletionTimestamp")]
        waiting = [
            p for p in pods if any("running" in c["state"] for c in p["status"].get("initContainerStatuses", ()))
        ]
        starting[:] = [pod["metadata"]["name"] for pod in waiting]
        return starting

    wait_for_single_cluster(node, mei)
    old = read_active_cluster(node, mei)
    mei.apply(serving={"replica": {"cpu": 0.15, "memory": "2Gi"}})
    with Client(mei) as client:
        mei.wait("another cluster", lambda: list_ray_clusters(node, mei) - {old}, 120)
        mei.wait("a worker that waits for its head", list_starting_workers, 180)
        node.kubectl("delete", "pod", *starting, "-n", mei.namespace, "--wait=false")
        mei.wait("its end", lambda: not {*starting} & {pod["metadata"]["name"] for pod in mei.pods()}, 180)
        mei.wait("the switch", lambda: read_active_cluster(node, mei) in list_ray_clusters(node, mei) - {old}, 420)
        assert old in list_ray_clusters(node, mei), "running requests on the old cluster must be answered"
        mei.wait_ready(120)
    assert client.failures == []


def test_a_second_cluster_that_cannot_start_is_reported_while_the_first_serves(node, mei):
    wait_for_single_cluster(node, mei)
    mei.apply(serving={"image": "kubevoice/nowhere:1"})
    message = mei.wait_condition("Ready", "False", "ImagePullFailed", timeout=420)["message"]
    assert "kubevoice/nowhere:1" in message
    assert mei.condition("Available")["status"] == "True"
    assert mei.speak()[0] == 200
    del mei.model["spec"]["serving"]["image"]
    mei.apply()
    mei.wait_ready(420)
    assert mei.speak()[0] == 200
