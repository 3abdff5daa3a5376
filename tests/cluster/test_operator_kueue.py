"""Kueue decides when a voice is made: it admits, preempts and resumes, and the operator leaves it to it."""

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
    """A namespace whose queue has room for one stage at a time."""
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


def test_a_voice_waits_for_quota_gives_way_to_a_more_urgent_one_and_goes_on(kueue, namespace):
    dataset = voices.upload_dataset(kueue.s3, "quota", clips=9)

    def voice(name, **training):
        training |= {"queueName": QUEUE, "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}
        spec = voices.voicemodel(kueue.s3, name, namespace, dataset, training=training, serving={"suspend": True})
        return Voice(kueue, spec).apply()

    patient = voice("patient", maxSteps=1000)
    patient.wait("a checkpoint", lambda: patient.status.get("training", {}).get("step", 0) >= 3, 300)
    (job,) = patient.jobs("train")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == QUEUE
    urgent = voice("urgent", maxSteps=2, priorityClassName="urgent")
    patient.wait_condition("Trained", "Unknown", "Queued", timeout=180)
    assert "Kueue" in patient.condition("Trained")["message"]
    urgent.wait_condition("Released", timeout=400)
    patient.wait("another trainer", lambda: trainer(patient), 180)
    log = lambda: kueue.kubectl("logs", trainer(patient) or "none", "-n", namespace)  # noqa: E731
    patient.wait("its word that it goes on", lambda: trainer(patient) and "continuing at step" in log(), 180)
    (same,) = patient.jobs("train")
    assert same["metadata"]["uid"] == job["metadata"]["uid"], "the Job that Kueue holds must not be made anew"
    admitted = [w for w in kueue.items("workloads", namespace) if "patient-train" in w["metadata"]["name"]]
    conditions = {c["type"]: c["status"] for c in admitted[0]["status"]["conditions"]}
    assert conditions["Admitted"] == "True"


def trainer(voice):
    return next(
        (p["metadata"]["name"] for p in voice.pods("kubevoice.io/stage=train") if p["status"]["phase"] == "Running"),
        None,
    )
