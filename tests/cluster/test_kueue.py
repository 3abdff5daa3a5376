"""Kueue admits Jobs as its quota allows."""

import pytest
from objects import pod_spec

pytestmark = pytest.mark.xdist_group("node")

QUEUE = "voices"
API = "kueue.x-k8s.io/v1beta2"


@pytest.fixture(scope="module")
def namespace(kueue):
    """A namespace whose queue has a quota of one core."""
    name = kueue.namespace("queued")
    quota = {"name": "cpu", "nominalQuota": 1}
    group = {"coveredResources": ["cpu"], "flavors": [{"name": QUEUE, "resources": [quota]}]}
    cluster_queue = {"namespaceSelector": {}, "resourceGroups": [group]}
    kueue.apply([queue_object("ResourceFlavor", {}), queue_object("ClusterQueue", cluster_queue)])
    kueue.apply([queue_object("LocalQueue", {"clusterQueue": QUEUE}, name)])
    yield name
    kueue.kubectl("delete", "namespace", name)


def queue_object(kind, spec, namespace=None):
    metadata = {"name": QUEUE} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def job(name, namespace, cpu, *command):
    template = {"spec": pod_spec(*command, resources={"requests": {"cpu": cpu}}) | {"restartPolicy": "Never"}}
    metadata = {"name": name, "namespace": namespace, "labels": {"kueue.x-k8s.io/queue-name": QUEUE}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"suspend": True, "backoffLimit": 0, "template": template},
    }


def test_a_suspended_job_runs_when_the_quota_allows(kueue, namespace):
    def status(name):
        body = kueue.get("job", name, "-n", namespace)
        return body["spec"]["suspend"], body.get("status", {}).get("succeeded", 0)

    kueue.apply([job("first", namespace, "600m", "sleep", "1000")])
    kueue.wait("admission", lambda: not status("first")[0])
    kueue.apply([job("second", namespace, "600m", "true")])

    def is_pending():
        (workload,) = [item for item in kueue.items("workloads", namespace) if "second" in item["metadata"]["name"]]
        conditions = workload.get("status", {}).get("conditions", [])
        return any(item["type"] == "QuotaReserved" and item["status"] == "False" for item in conditions)

    kueue.wait("the second to wait for its quota", is_pending)
    assert status("second") == (True, 0)
    kueue.delete([job("first", namespace, "600m")])
    kueue.wait("the second to succeed", lambda: status("second") == (False, 1))
