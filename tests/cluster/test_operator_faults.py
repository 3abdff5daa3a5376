"""Faults on a real node: each is reported within its time, and the voice recovers when the cause is gone."""

import json
import signal

import operators
import pytest

import voices
from voices import Voice

pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.slow]


@pytest.fixture(scope="module")
def namespace(node):
    return voices.prepare(node, "faults")


@pytest.fixture(scope="module")
def dataset(node):
    return voices.upload_dataset(node.s3, "few", clips=9)


@pytest.fixture
def make(node, namespace, dataset):
    """Makes VoiceModels that are trained but need not be served, and removes them after the test."""
    made = []

    def voice(name, uri=dataset, **spec):
        spec = {"serving": {"suspend": True}} | spec
        created = Voice(node, voices.voicemodel(node.s3, name, namespace, uri, **spec))
        made.append(created)
        return created

    yield voice
    for each in made:
        each.delete()
        each.wait("the end of its pods", lambda each=each: not each.pods(), 180)


def running_trainer(voice):
    """The name of the pod that trains, once it has made a checkpoint."""
    voice.wait("a checkpoint", lambda: voice.status.get("training", {}).get("step", 0) >= 3, 240)
    return next(p["metadata"]["name"] for p in voice.pods("kubevoice.io/stage=train"))


def test_an_image_that_cannot_be_pulled_is_reported_and_mended(make):
    voice = make("image", training={"image": "kubevoice/nowhere:1"}).apply()
    message = voice.wait_condition("DatasetReady", "False", "ImagePullFailed")["message"]
    assert "kubevoice/nowhere:1" in message
    assert voice.status["lastFailure"]["reason"] == "ImagePullFailed"
    assert voice.status["lastFailure"]["pod"]
    assert voice.condition("Degraded")["status"] == "True"
    voice.apply(training={"image": "kubevoice/training:0.1.0"})
    voice.wait_condition("DatasetReady", timeout=180)
    assert voice.condition("Degraded")["status"] == "False"


def test_gpus_that_are_not_there_are_reported_and_train_together_when_they_come(node, make):
    voice = make("gpu", training={"gpusPerNode": 1, "nodes": 2}).apply()
    message = voice.wait_condition("Trained", "False", "Unschedulable", timeout=240)["message"]
    assert "nvidia.com/gpu" in message
    (name,) = [item["metadata"]["name"] for item in node.get("nodes")["items"]]
    advertise(node, name, 2)
    try:
        voice.wait_condition("Trained", timeout=300)
        pods = voice.pods("kubevoice.io/stage=train")
        assert {pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] for pod in pods} == {"0", "1"}
        for pod in pods:
            assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    finally:
        advertise(node, name, None)


def advertise(node, name, gpus):
    path = "/status/capacity/nvidia.com~1gpu"
    patch = [{"op": "remove", "path": path}] if gpus is None else [{"op": "add", "path": path, "value": str(gpus)}]
    node.kubectl("patch", "node", name, "--subresource=status", "--type=json", "-p", json.dumps(patch))


def test_a_trainer_without_memory_is_reported_and_goes_on_with_more(make):
    little = {"requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"memory": "200Mi"}}
    enough = {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"memory": "3Gi"}}
    voice = make("memory", training={"resources": little, "backoffLimit": 0}).apply()
    message = voice.wait_condition("Trained", "False", "OutOfMemory", timeout=240)["message"]
    assert "spec.training.resources.limits.memory" in message
    assert voice.status["lastFailure"]["exitCode"] == 137
    voice.apply(training={"resources": enough})
    voice.wait_condition("Trained", timeout=240)


def test_a_missing_secret_is_reported_and_mended(node, make, namespace):
    voice = make("secret")
    voice.model["spec"]["storage"]["secretRef"] = {"name": "later"}
    voice.apply()
    assert "later" in voice.wait_condition("DatasetReady", "False", "PodConfigError")["message"]
    node.apply([node.s3.secret("later", namespace)])
    voice.wait_condition("DatasetReady", timeout=180)


def test_wrong_credentials_and_a_missing_bucket_are_reported_and_tried_again(node, make, namespace):
    wrong = node.s3.secret("wrong", namespace)
    wrong["stringData"]["AWS_SECRET_ACCESS_KEY"] = "no"  # noqa: S105  # wrong on purpose
    node.apply([wrong])
    voice = make("wrong", training={"backoffLimit": 0})
    voice.model["spec"]["storage"]["secretRef"] = {"name": "wrong"}
    voice.apply()
    assert "secret" in voice.wait_condition("DatasetReady", "False", "StorageError", timeout=180)["message"]
    assert voice.status["lastFailure"]["retryable"]
    node.apply([node.s3.secret("wrong", namespace)])
    voice.wait_condition("DatasetReady", timeout=240)


def test_a_dataset_error_is_reported_once_and_read_again_when_asked(node, make):
    client = voices.s3_client(node.s3)
    client.put_object(
        Bucket="datasets", Key="broken/metadata.csv", Body="id,text,emotion,wav_path\na,你好,neutral,a.wav\n".encode()
    )
    voice = make("broken", "s3://datasets/broken/").apply()
    message = voice.wait_condition("DatasetReady", "False", "InvalidInput", timeout=180)["message"]
    assert "row 1 (id a)" in message
    (job,) = voice.jobs()
    assert job["status"]["failed"] == 1, "bad input must not be tried again"
    voices.upload_dataset(node.s3, "broken", clips=9)
    client.close()
    node.kubectl("annotate", "vm", voice.name, "-n", voice.namespace, "kubevoice.io/refresh=mended")
    voice.wait_condition("DatasetReady", timeout=180)


def test_a_stage_that_takes_too_long_is_reported(make):
    voice = make("slow", training={"maxSteps": 100000, "activeDeadlineSeconds": 60}).apply()
    message = voice.wait_condition("Trained", "False", "DeadlineExceeded", timeout=400)["message"]
    assert "activeDeadlineSeconds" in message


def test_a_trainer_that_is_killed_or_drained_goes_on_from_its_checkpoint(node, make):
    voice = make("resumes", training={"maxSteps": 1000}).apply()
    pod = running_trainer(voice)
    node.kubectl("delete", "pod", pod, "-n", voice.namespace, "--wait=false")
    voice.wait("another trainer", lambda: next_trainer(voice, pod), 240)
    second = next_trainer(voice, pod)
    voice.wait("its word that it goes on", lambda: "continuing at step" in logs(node, voice, second), 180)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": second, "namespace": voice.namespace},
    }
    node.kubectl(
        "create",
        "--raw",
        f"/api/v1/namespaces/{voice.namespace}/pods/{second}/eviction",
        "-f",
        "-",
        input=json.dumps(eviction),
    )
    voice.wait("a third trainer", lambda: next_trainer(voice, pod, second), 240)
    third = next_trainer(voice, pod, second)
    voice.wait("its word that it goes on", lambda: "continuing at step" in logs(node, voice, third), 180)


def next_trainer(voice, *before):
    for pod in voice.pods("kubevoice.io/stage=train"):
        if pod["metadata"]["name"] not in before and pod["status"]["phase"] == "Running":
            return pod["metadata"]["name"]
    return None


def logs(node, voice, pod):
    return node.kubectl("logs", pod, "-n", voice.namespace)


def test_training_can_be_held_and_goes_on(node, make):
    voice = make("held", training={"maxSteps": 1000}).apply()
    running_trainer(voice)
    voice.apply(training={"suspend": True})
    voice.wait("its trainer to stop", lambda: not voice.pods("kubevoice.io/stage=train"), 180)
    assert voice.condition("Trained")["reason"] == "Suspended"
    assert voice.status["phase"] == "Suspended"
    voice.apply(training={"suspend": False})
    voice.wait("a trainer", lambda: next_trainer(voice), 180)
    pod = next_trainer(voice)
    voice.wait("its word that it goes on", lambda: "continuing at step" in logs(node, voice, pod), 180)


def test_s3_away_for_a_minute_while_it_trains_costs_nothing(node, make):
    voice = make("away", training={"maxSteps": 80}).apply()
    pod = running_trainer(voice)
    node.stop("versitygw", signal.SIGKILL)
    try:
        voice.wait("a minute to pass", outlasts(60), 90)
    finally:
        node.start("versitygw")
    voice.wait_condition("Trained", timeout=300)
    assert pod in [p["metadata"]["name"] for p in voice.pods("kubevoice.io/stage=train")]


def outlasts(seconds):
    import time

    over = time.monotonic() + seconds
    return lambda: time.monotonic() > over


def test_an_edit_in_the_middle_of_training_stops_the_old_and_starts_the_new(make):
    voice = make("edited", training={"maxSteps": 1000}).apply()
    running_trainer(voice)
    (old,) = voice.jobs("train")
    voice.apply(training={"maxSteps": 6})
    voice.wait_condition("Trained", timeout=300)
    assert old["metadata"]["name"] not in [job["metadata"]["name"] for job in voice.jobs("train")]


def test_deleting_in_the_middle_of_training_leaves_nothing_but_artifacts(node, make):
    voice = make("deleted", training={"maxSteps": 1000}).apply()
    running_trainer(voice)
    assert not voice.raw["metadata"].get("finalizers")
    voice.delete()
    voice.wait("the end of its pods", lambda: not voice.pods() and not voice.jobs(), 180)
    assert voices.keys(node.s3, "voices", f"{voice.namespace}/deleted/")


def test_with_policy_delete_artifacts_go_with_the_voice(node, make):
    voice = make("gone", deletionPolicy="Delete").apply()
    voice.wait_condition("Trained", timeout=300)
    assert voices.keys(node.s3, "voices", f"{voice.namespace}/gone/")
    voice.delete()
    voice.wait("the end of its artifacts", lambda: not voices.keys(node.s3, "voices", f"{voice.namespace}/gone/"), 180)


def test_the_operator_and_the_api_server_may_die_while_it_trains(node, make):
    voice = make("survivor", training={"maxSteps": 80}).apply()
    running_trainer(voice)
    node.kubectl("delete", "pods", "-n", operators.SYSTEM, "--all", "--grace-period=0", "--force")
    node.stop("kube-apiserver", signal.SIGKILL)
    node.start("kube-apiserver")
    voice.wait_condition("Released", timeout=400)
    assert len(voice.jobs("train")) == 1
    (job,) = voice.jobs("train")
    assert job["status"].get("failed", 0) == 0
