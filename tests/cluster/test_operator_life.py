"""One voice on a real node: created, served, scaled, changed and rolled back. The tests run in this order."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ray_objects import active_cluster, bounds, pods_in_place_of, ray_clusters, wait_for_single_cluster, workers

import voices
from voices import HTTP, Client, Voice, list_objects, read_spoken_revision

pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.slow]


@pytest.fixture(scope="module")
def namespace(node):
    return voices.prepare(node, "voices")


@pytest.fixture(scope="module")
def mei(node, namespace):
    dataset = voices.upload_dataset(node.s3, "words")
    voice = Voice(node, voices.voicemodel(node.s3, "mei", namespace, dataset, steps=80))
    yield voice
    voice.delete()
    voice.wait("the end of its pods", lambda: not voice.pods(), 180)


def serving(voice):
    return voice.status.get("serving", {}).get("revision")


def test_apply_ends_in_speech_of_the_revision_that_the_status_names(node, mei):
    seen = []
    mei.apply()

    def is_trained():
        training = mei.status.get("training", {})
        seen.append((training.get("step", 0), training.get("loss"), training.get("etaSeconds")))
        return mei.condition("Trained").get("status") == "True"

    mei.wait("the end of its training", is_trained, 420)
    steps = sorted({step for step, _, _ in seen})
    assert len(steps) > 2, f"progress never moved: {seen}"
    assert any(loss for _, loss, _ in seen), "no loss was shown while it trained"
    assert any(eta for _, _, eta in seen), "no ETA was shown while it trained"
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
    assert {k.lower(): v for k, v in headers.items()}["x-revision"] == revision["digest"]


def test_people_see_what_happens(node, mei):
    table = node.kubectl("get", "vm", "-n", mei.namespace)
    (row,) = [line.split() for line in table.splitlines()[1:]]
    assert row[1:3] == ["Ready", "100%"]
    assert mei.status["serving"]["revision"][7:19] in row
    assert "1/1" in row
    assert "REASON" in node.kubectl("get", "vm", "-n", mei.namespace, "-o", "wide")
    story = mei.story()
    for text in (
        "PrepareStarted",
        "PrepareSucceeded",
        "TrainSucceeded",
        "ReleaseSucceeded",
        "RolloutStarted",
        "Serving",
    ):
        assert text in story, story


def test_applying_the_same_again_does_nothing(mei):
    before = mei.raw
    jobs = {job["metadata"]["uid"] for job in mei.jobs()}
    mei.apply()
    assert {job["metadata"]["uid"] for job in mei.jobs()} == jobs
    assert mei.raw["metadata"]["generation"] == before["metadata"]["generation"]


def test_other_thresholds_run_the_gate_alone_and_a_failed_one_keeps_the_old_revision(mei):
    made = {job["metadata"]["name"] for job in mei.jobs() if "release" not in job["metadata"]["name"]}
    old = serving(mei)
    mei.apply(evaluation={"policy": "Enforce", "maxMelCepstralDistortion": 0.01})
    mei.wait_condition("Evaluated", "False", "GateFailed", timeout=180)
    message = mei.wait_condition("Ready", "False", "GateFailed")["message"]
    assert "melCepstralDistortion" in message
    assert "keeps serving" in message
    assert mei.condition("Available")["status"] == "True"
    assert read_spoken_revision(mei) == old
    assert {job["metadata"]["name"] for job in mei.jobs() if "release" not in job["metadata"]["name"]} == made
    mei.apply(evaluation={"policy": "Report"})
    mei.wait_ready(180)
    assert serving(mei) == old


def test_other_parameters_train_anew_and_swap_in_without_a_failed_request(mei):
    old = serving(mei)
    prepared = [job["metadata"]["uid"] for job in mei.jobs("prepare")]
    pods = {pod["metadata"]["uid"] for pod in mei.pods("ray.io/node-type")}
    mei.apply(training={"maxSteps": 8})
    mei.wait("the new training in the status", lambda: mei.condition("Ready").get("status") == "False", 60)
    with Client(mei) as client:
        mei.wait_ready(420)
        new = serving(mei)
        mei.wait("speech of the new revision", lambda: new in client.revisions, 60)
    assert client.failures == []
    assert new != old
    assert set(client.revisions) == {old, new}
    assert [job["metadata"]["uid"] for job in mei.jobs("prepare")] == prepared
    assert {pod["metadata"]["uid"] for pod in mei.pods("ray.io/node-type")} == pods, "a hot swap needs no new pod"
    states = {r["digest"]: r["state"] for r in mei.status["revisions"]}
    assert states == {new: "Serving", old: "Superseded"}


def test_a_pinned_revision_is_back_in_seconds(mei):
    (old,) = [r["digest"] for r in mei.status["revisions"] if r["state"] == "Superseded"]
    began = time.monotonic()
    mei.apply(revision=old)
    mei.wait("the old revision", lambda: serving(mei) == old, 60)
    assert time.monotonic() - began < 45
    assert read_spoken_revision(mei) == old
    mei.wait_ready(60)
    del mei.model["spec"]["revision"]
    mei.apply()
    mei.wait("the new revision", lambda: serving(mei) not in (old, None), 60)


def test_replicas_and_pods_grow_under_load_and_shrink_after_without_a_failed_request(node, mei):
    mei.apply(
        serving={"maxReplicas": 2, "targetOngoingRequests": 1, "upscaleDelaySeconds": 1, "downscaleDelaySeconds": 15}
    )
    mei.wait_ready(180)

    def is_ready():
        return mei.status["serving"]["replicas"]["ready"]

    mei.wait("bounds on the running cluster", lambda: bounds(node, mei)[1] >= 2, 60)
    clients = [Client(mei, pause=0) for _ in range(6)]
    for client in clients:
        client.start()
    try:
        mei.wait("a second replica", lambda: len(workers(mei)) == 2 and is_ready() == 2, 240)
    finally:
        for client in clients:
            client.__exit__()
    assert [failure for client in clients for failure in client.failures] == []
    mei.wait("one replica again", lambda: len(workers(mei)) == 1 and is_ready() == 1, 240)
    code, _, _ = mei.speak()
    assert code == 200


def test_kubectl_scale_moves_the_floor_of_the_running_cluster_and_a_lower_ceiling_cuts_nobody(node, mei):
    (before,) = list_objects(node, "rayclusters", mei.namespace)
    node.kubectl("scale", f"vm/{mei.name}", "-n", mei.namespace, "--replicas=2")
    mei.model["spec"]["serving"]["minReplicas"] = 2
    mei.wait("the floor", lambda: bounds(node, mei)[0] == 2, 60)
    mei.wait("two replicas", lambda: mei.status["serving"]["replicas"]["ready"] == 2, 240)
    (after,) = list_objects(node, "rayclusters", mei.namespace)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    with Client(mei) as client:
        mei.apply(serving={"minReplicas": 1, "maxReplicas": 1})
        mei.wait("one worker", lambda: len(workers(mei)) == 1, 240)
        mei.wait("the bounds", lambda: bounds(node, mei) == (1, 1), 30)
    assert client.failures == []
    assert mei.status["serving"]["replicas"]["ready"] == 1


def test_a_canary_gets_its_share_and_takes_over(mei):
    old = serving(mei)
    rollout = {"strategy": "Canary", "steps": [{"weight": 50, "pauseSeconds": 8}, {"weight": 80, "pauseSeconds": 2}]}
    mei.apply(serving={"rollout": rollout}, training={"maxSteps": 10})
    with Client(mei) as client:
        mei.wait("a canary", lambda: mei.status["serving"].get("canaryWeight"), 420)
        mei.wait_ready(300)
        new = serving(mei)
    assert client.failures == []
    assert new != old
    revisions = client.revisions
    assert old in revisions[revisions.index(new) :], "the old revision must answer beside the canary"
    for share in ("gets 50 %", "gets 80 %"):
        assert share in mei.story()


def test_a_canary_that_is_too_slow_is_taken_back(mei):
    old = serving(mei)
    rollout = {"strategy": "Canary", "steps": [{"weight": 90, "pauseSeconds": 300}], "maxLatencySeconds": 0.0001}
    mei.apply(serving={"rollout": rollout}, training={"maxSteps": 12})
    with Client(mei) as client:
        message = mei.wait_condition("Ready", "False", "CanaryBackedOut", timeout=420)["message"]
        mei.wait("the old revision alone", lambda: serving(mei) == old, 60)
    assert "maxLatencySeconds" in message
    assert client.failures == []
    assert mei.status["revisions"][0]["state"] == "Rejected"
    assert mei.condition("Available")["status"] == "True"
    mei.apply(serving={"rollout": {"strategy": "Immediate", "steps": []}}, training={"maxSteps": 10})
    mei.wait_ready(240)


def test_with_policy_delete_what_forgotten_revisions_rested_on_leaves_the_storage(node, mei):
    folder = f"{mei.namespace}/{mei.name}/"
    before = {r["digest"]: set(r["artifacts"]) for r in mei.status["revisions"]}
    kept = before[serving(mei)]
    forgotten = set().union(*before.values()) - kept
    assert len(before) > 2

    def list_stored():
        parts = (key.removeprefix(folder).split("/") for key in voices.keys(node.s3, "voices", folder))
        return {"/".join(part[:2]) for part in parts}

    assert forgotten & list_stored()
    mei.apply(deletionPolicy="Delete", revisionHistoryLimit=1)
    mei.wait("a short history", lambda: [r["digest"] for r in mei.status["revisions"]] == [serving(mei)], 180)
    assert kept <= list_stored()
    assert not forgotten & list_stored()
    assert read_spoken_revision(mei) == serving(mei)
    mei.apply(deletionPolicy="Retain")


def test_requests_for_text_and_revisions_answer_through_the_service(mei):
    with HTTP.open(f"{mei.endpoint()}/v1/revisions", timeout=10) as answer:
        body = json.load(answer)
    assert {replica["track"] for replica in body["replicas"]} == {"stable"}
    with ThreadPoolExecutor(4) as pool:
        assert {status for status, _, _ in pool.map(lambda _: mei.speak(), range(8))} == {200}


@pytest.mark.parametrize("kind", ["worker", "head"])
def test_a_pod_of_ray_that_is_killed_comes_back_with_the_voice(node, mei, kind):
    revision = serving(mei)
    names = []

    def one():
        """One pod in whatever phase: a canary's worker may still be there, one for the load before may be coming."""
        names[:] = [p["metadata"]["name"] for p in mei.pods(f"ray.io/node-type={kind}")]
        return len(names) == 1

    mei.wait(f"one {kind}", one, 300)
    (killed,) = names
    node.kubectl("delete", "pod", killed, "-n", mei.namespace, "--grace-period=0", "--force")
    mei.wait("another pod", lambda: pods_in_place_of(mei, killed, kind), 240)

    def is_speaking():
        try:
            return mei.speak()[0] == 200
        except OSError:
            return False

    mei.wait("speech", is_speaking, 300)
    mei.wait_ready(300)
    assert serving(mei) == revision


def test_other_resources_bring_another_ray_cluster_that_takes_over_when_it_is_ready(node, mei):
    early = []

    def list_starting_workers():
        """Workers whose first container still waits for the head, which is over soon."""
        pods = [pod for pod in mei.pods("ray.io/node-type=worker") if not pod["metadata"].get("deletionTimestamp")]
        waiting = [
            p for p in pods if any("running" in c["state"] for c in p["status"].get("initContainerStatuses", ()))
        ]
        early[:] = [pod["metadata"]["name"] for pod in waiting]
        return early

    wait_for_single_cluster(node, mei)
    old = active_cluster(node, mei)
    mei.apply(serving={"replica": {"cpu": 0.15, "memory": "2Gi"}})
    with Client(mei) as client:
        mei.wait("another cluster", lambda: ray_clusters(node, mei) - {old}, 120)
        mei.wait("a worker that waits for its head", list_starting_workers, 60)
        node.kubectl("delete", "pod", *early, "-n", mei.namespace, "--wait=false")
        mei.wait("its end", lambda: not {*early} & {pod["metadata"]["name"] for pod in mei.pods()}, 60)
        mei.wait("the switch", lambda: active_cluster(node, mei) in ray_clusters(node, mei) - {old}, 420)
        assert old in ray_clusters(node, mei), "requests under way on the old cluster must be answered"
        mei.wait_ready(120)
    assert client.failures == []


def test_a_second_cluster_that_cannot_start_is_reported_while_the_first_serves(node, mei):
    wait_for_single_cluster(node, mei)
    mei.apply(serving={"image": "kubevoice/nowhere:1"})
    message = mei.wait_condition("Ready", "False", "ImagePullFailed", timeout=180)["message"]
    assert "kubevoice/nowhere:1" in message
    assert mei.condition("Available")["status"] == "True"
    assert mei.speak()[0] == 200
    del mei.model["spec"]["serving"]["image"]
    mei.apply()
    mei.wait_ready(420)
    assert mei.speak()[0] == 200
