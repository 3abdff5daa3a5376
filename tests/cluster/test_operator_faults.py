"""Faults on a real node: each is reported within its time, and the voice recovers when the cause is gone."""

import json
import signal
import time

import operators
import pytest

import voices
from voices import Voice

pytestmark = [pytest.mark.xdist_group("second_node"), pytest.mark.slow]


@pytest.fixture(scope="module")
def namespace(node):
    return voices.prepare(node, "faults")


@pytest.fixture(scope="module")
def dataset(node):
    return voices.upload_dataset(node.s3, "few", clips=9)


def make_voice(node, namespace, name, uri, **spec):
    """Return a VoiceModel that is trained but not served."""
    spec = {"serving": {"suspend": True}} | spec
    return Voice(node, voices.voicemodel(node.s3, name, namespace, uri, **spec))


def delete(created):
    for voice in created:
        voice.delete()
    for voice in created:
        voice.wait("the end of its pods", lambda voice=voice: not voice.pods(), 420)


@pytest.fixture(scope="module")
def applied(node, namespace, dataset):
    """VoiceModels with a fault each, by name. All are applied at once, because reports of faults take time."""
    bad_table = "id,text,emotion,wav_path\na,你好,neutral,a.wav\n"
    client = voices.s3_client(node.s3)
    client.put_object(Bucket="datasets", Key="broken/metadata.csv", Body=bad_table.encode())
    client.close()
    wrong = node.s3.secret("wrong", namespace)
    wrong["stringData"]["AWS_SECRET_ACCESS_KEY"] = "no"  # noqa: S105  # wrong on purpose
    node.apply([wrong])
    too_little = {"requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"memory": "200Mi"}}
    trainings = {
        "image": {"image": "kubevoice/nowhere:1"},
        "gpu": {"gpusPerNode": 1, "nodes": 2},
        "memory": {"resources": too_little, "backoffLimit": 0},
        "secret": {},
        "wrong": {"backoffLimit": 0},
        "broken": {},
        "slow": {"maxSteps": 100000, "activeDeadlineSeconds": 60},
    }
    created = {}
    for name, training in trainings.items():
        uri = "s3://datasets/broken/" if name == "broken" else dataset
        created[name] = voice = make_voice(node, namespace, name, uri, training=training)
        secret = {"secret": "later", "wrong": "wrong"}.get(name, "s3")
        voice.model["spec"]["storage"]["secretRef"] = {"name": secret}
        voice.apply()
    yield created
    delete(created.values())


@pytest.fixture
def take(applied):
    """A function that returns one of these VoiceModels, which is deleted after the test."""
    taken = []

    def take(name):
        taken.append(applied.pop(name))
        return taken[-1]

    yield take
    delete(taken)


@pytest.fixture
def create_voice(node, namespace, dataset):
    """A function that creates VoiceModels, which are deleted after the test."""
    created = []

    def create(name, **spec):
        created.append(make_voice(node, namespace, name, dataset, **spec))
        return created[-1]

    yield create
    delete(created)


def wait_for_trainer(voice):
    """Wait for a checkpoint, and return the name of the pod that trains."""
    voice.wait("a checkpoint", lambda: voice.status.get("training", {}).get("step", 0) >= 3, 420)
    return next(p["metadata"]["name"] for p in voice.pods("kubevoice.io/stage=train"))


def test_an_image_that_cannot_be_pulled_is_reported_and_can_be_corrected(take):
    voice = take("image")
    message = voice.wait_condition("DatasetReady", "False", "ImagePullFailed")["message"]
    assert "kubevoice/nowhere:1" in message
    assert voice.status["lastFailure"]["reason"] == "ImagePullFailed"
    assert voice.status["lastFailure"]["pod"]
    assert voice.condition("Degraded")["status"] == "True"
    voice.apply(training={"image": "kubevoice/training:0.1.0"})
    voice.wait_condition("DatasetReady", timeout=420)
    assert voice.condition("Degraded")["status"] == "False"


def test_missing_gpus_are_reported_and_both_nodes_train_when_they_exist(node, take):
    voice = take("gpu")
    message = voice.wait_condition("Trained", "False", "Unschedulable", timeout=420)["message"]
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


def test_a_trainer_without_memory_is_reported_and_continues_with_more(take):
    enough = {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"memory": "3Gi"}}
    voice = take("memory")
    message = voice.wait_condition("Trained", "False", "OutOfMemory", timeout=420)["message"]
    assert "spec.training.resources.limits.memory" in message
    assert voice.status["lastFailure"]["exitCode"] == 137
    voice.apply(training={"resources": enough})
    voice.wait_condition("Trained", timeout=420)


def test_a_missing_secret_is_reported_and_can_be_created(node, take, namespace):
    voice = take("secret")
    assert "later" in voice.wait_condition("DatasetReady", "False", "PodConfigError")["message"]
    node.apply([node.s3.secret("later", namespace)])
    voice.wait_condition("DatasetReady", timeout=420)


def test_wrong_credentials_are_reported_and_retried(node, take, namespace):
    voice = take("wrong")
    assert "secret" in voice.wait_condition("DatasetReady", "False", "StorageError", timeout=420)["message"]
    assert voice.status["lastFailure"]["retryable"]
    node.apply([node.s3.secret("wrong", namespace)])
    voice.wait_condition("DatasetReady", timeout=420)


def test_a_dataset_error_is_reported_once_and_checked_again_on_request(node, take):
    voice = take("broken")
    message = voice.wait_condition("DatasetReady", "False", "InvalidInput", timeout=420)["message"]
    assert "row 1 (id a)" in message
    (job,) = voice.jobs()
    assert job["status"]["failed"] == 1, "invalid input must not be retried"
    voices.upload_dataset(node.s3, "broken", clips=9)
    node.kubectl("annotate", "vm", voice.name, "-n", voice.namespace, "kubevoice.io/refresh=corrected")
    voice.wait_condition("DatasetReady", timeout=420)


def test_a_stage_that_takes_too_long_is_reported(take):
    message = take("slow").wait_condition("Trained", "False", "DeadlineExceeded", timeout=420)["message"]
    assert "activeDeadlineSeconds" in message


def test_a_trainer_that_is_killed_or_evicted_resumes_from_its_checkpoint(node, create_voice):
    voice = create_voice("resumes", training={"maxSteps": 4000}).apply()
    pod = wait_for_trainer(voice)
    node.kubectl("delete", "pod", pod, "-n", voice.namespace, "--wait=false")
    voice.wait("another trainer", lambda: find_trainer(voice, pod), 420)
    second = find_trainer(voice, pod)
    voice.wait("the resumed training", lambda: "continuing at step" in logs(node, voice, second), 420)
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
    voice.wait("a third trainer", lambda: find_trainer(voice, pod, second), 420)
    third = find_trainer(voice, pod, second)
    voice.wait("the resumed training", lambda: "continuing at step" in logs(node, voice, third), 420)


def find_trainer(voice, *before):
    for pod in voice.pods("kubevoice.io/stage=train"):
        if pod["metadata"]["name"] not in before and pod["status"]["phase"] == "Running":
            return pod["metadata"]["name"]
    return None


def logs(node, voice, pod):
    return node.kubectl("logs", pod, "-n", voice.namespace)


def test_training_can_be_suspended_and_resumed(node, create_voice):
    voice = create_voice("suspended", training={"maxSteps": 4000}).apply()
    wait_for_trainer(voice)
    voice.apply(training={"suspend": True})
    voice.wait("its trainer to stop", lambda: not voice.pods("kubevoice.io/stage=train"), 420)
    assert voice.condition("Trained")["reason"] == "Suspended"
    assert voice.status["phase"] == "Suspended"
    voice.apply(training={"suspend": False})
    voice.wait("a trainer", lambda: find_trainer(voice), 420)
    pod = find_trainer(voice)
    voice.wait("the resumed training", lambda: "continuing at step" in logs(node, voice, pod), 420)


def test_an_outage_of_s3_for_a_minute_does_not_end_the_training(node, create_voice):
    voice = create_voice("away", training={"maxSteps": 320}).apply()
    pod = wait_for_trainer(voice)
    node.stop("versitygw", signal.SIGKILL)
    try:
        voice.wait("a minute to pass", has_elapsed(60), 120)
    finally:
        node.start("versitygw")
    voice.wait_condition("Trained", timeout=300)
    assert pod in [p["metadata"]["name"] for p in voice.pods("kubevoice.io/stage=train")]


def has_elapsed(seconds):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def test_an_edit_during_training_replaces_its_job(create_voice):
    voice = create_voice("edited", training={"maxSteps": 4000}).apply()
    wait_for_trainer(voice)
    (old,) = voice.jobs("train")
    voice.apply(training={"maxSteps": 6})
    voice.wait_condition("Trained", timeout=300)
    assert old["metadata"]["name"] not in [job["metadata"]["name"] for job in voice.jobs("train")]


def test_deletion_during_training_leaves_only_artifacts(node, create_voice):
    voice = create_voice("deleted", training={"maxSteps": 4000}).apply()
    wait_for_trainer(voice)
    assert not voice.raw["metadata"].get("finalizers")
    voice.delete()
    voice.wait("the end of its pods", lambda: not voice.pods() and not voice.jobs(), 420)
    assert voices.list_keys(node.s3, "voices", f"{voice.namespace}/deleted/")


def test_with_policy_delete_artifacts_are_deleted_with_the_voice(node, create_voice):
    voice = create_voice("gone", deletionPolicy="Delete").apply()
    voice.wait_condition("Trained", timeout=300)
    assert voices.list_keys(node.s3, "voices", f"{voice.namespace}/gone/")
    voice.delete()
    voice.wait(
        "the end of its artifacts", lambda: not voices.list_keys(node.s3, "voices", f"{voice.namespace}/gone/"), 180
    )


def test_the_operator_and_the_api_server_may_be_killed_during_training(node, create_voice):
    voice = create_voice("survivor", training={"maxSteps": 320}).apply()
    wait_for_trainer(voice)
    node.kubectl("delete", "pods", "-n", operators.SYSTEM, "--all", "--grace-period=0", "--force")
    node.stop("kube-apiserver", signal.SIGKILL)
    node.start("kube-apiserver")
    voice.wait_condition("Released", timeout=420)
    assert len(voice.jobs("train")) == 1
    (job,) = voice.jobs("train")
    assert job["status"].get("failed", 0) == 0
