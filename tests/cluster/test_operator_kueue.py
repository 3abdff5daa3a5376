"""Kueue admits, preempts and resumes the Jobs of a voice, and the operator does not interfere."""

import pytest

import voices
from voices import Voice

pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.slow]

API = "kueue.x-k8s.io/v1beta2"
QUEUE = "training"


def queue_object(kind, spec, namespace=None):
    metadata = {"name": QUEUE} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def namespace(kueue):
    """A namespace whose queue has quota for one stage at a time."""
    name = voices.prepare(kueue, "quota")
    quotas = [{"name": "cpu", "nominalQuota": "700m"}, {"name": "memory", "nominalQuota": "100Gi"}]
    group = {"coveredResources": ["cpu", "memory"], "flavors": [{"name": QUEUE, "resources": quotas}]}
    cluster_queue = {
        "namespaceSelector": {},
        "resourceGroups": [group],
        "preemption": {"withinClusterQueue": "LowerPriority"},
    }
    urgent = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "urgent"},
        "value": 1000,
        "preemptionPolicy": "Never",
    }
    shared = [queue_object("ResourceFlavor", {}), queue_object("ClusterQueue", cluster_queue), urgent]
    kueue.apply(shared)
    kueue.apply([queue_object("LocalQueue", {"clusterQueue": QUEUE}, name)])
    yield name
    kueue.kubectl("delete", "namespace", name)
    kueue.delete(shared)


def test_a_training_is_preempted_by_a_higher_priority_and_resumed(kueue, namespace):
    dataset = voices.upload_dataset(kueue.s3, "quota", clips=9)

    def voice(name, **training):
        training |= {"queueName": QUEUE, "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}
        spec = voices.voicemodel(kueue.s3, name, namespace, dataset, training=training, serving={"suspend": True})
        return Voice(kueue, spec).apply()

    preempted = voice("preempted", maxSteps=4000)
    preempted.wait("a checkpoint", lambda: preempted.status.get("training", {}).get("step", 0) >= 3, 300)
    (job,) = preempted.jobs("train")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == QUEUE
    urgent = voice("urgent", maxSteps=2, priorityClassName="urgent")
    preempted.wait_condition("Trained", "Unknown", "Queued", timeout=420)
    assert "Kueue" in preempted.condition("Trained")["message"]
    urgent.wait_condition("Released", timeout=420)
    preempted.wait("another trainer", lambda: find_trainer(preempted), 420)
    log = lambda: kueue.kubectl("logs", find_trainer(preempted) or "none", "-n", namespace)  # noqa: E731
    preempted.wait("the resumed training", lambda: find_trainer(preempted) and "continuing at step" in log(), 420)
    (same,) = preempted.jobs("train")
    assert same["metadata"]["uid"] == job["metadata"]["uid"], "a Job that Kueue suspended must not be created again"
    admitted = [w for w in kueue.items("workloads", namespace) if "preempted-train" in w["metadata"]["name"]]
    conditions = {c["type"]: c["status"] for c in admitted[0]["status"]["conditions"]}
    assert conditions["Admitted"] == "True"


def find_trainer(voice):
    return next(
        (p["metadata"]["name"] for p in voice.pods("kubevoice.io/stage=train") if p["status"]["phase"] == "Running"),
        None,
    )
