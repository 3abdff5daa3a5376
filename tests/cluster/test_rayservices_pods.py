"""What happens to the pods of a RayCluster reaches the status, on a real API server that has KubeRay's CRDs.

The tests write what KubeRay and the kubelet would: clusters, pods, their statuses and Events.
"""

from datetime import UTC, datetime

import operators
import pytest
from kubelet import Voices
from test_rayservices import NEWEST, install

pytestmark = pytest.mark.xdist_group("control_plane")

NAMESPACE = "rayservices-pods"


@pytest.fixture(scope="module")
def voices(control_plane, rest):
    install(control_plane, NEWEST)
    return Voices(rest, control_plane.namespace(NAMESPACE))


@pytest.fixture(scope="module", autouse=True)
def operator(voices, control_plane, tmp_path_factory):
    with operators.deployed_operator(control_plane, tmp_path_factory.mktemp("operator")) as running:
        yield running
        assert running.metric('kubevoice_operator_reconcile_errors_total{kind="bug"}') == 0
        assert 'code="403"' not in running.get("/metrics")[1]


@pytest.fixture
def released(voices, request):
    """A voice with a released revision and a RayService; its name is short and of this test alone."""
    name = f"v{abs(hash(request.node.name)) % 10**6}"
    voices.make(name)
    voices.run(name)
    voices.wait("a RayService", lambda: voices.rest.get("rayservices", NAMESPACE, name))
    voices.wait_condition(name, "Available", "False", "RollingOut")
    return name


def build_labels(name):
    """Return the labels that KubeRay copies from a RayService."""
    return {"kubevoice.io/voicemodel": name, "app.kubernetes.io/managed-by": "kubevoice"}


def prepare_cluster(voices, name, cluster):
    """Let the RayService prepare a RayCluster, as KubeRay does; return the cluster."""
    status = {"status": {"pendingServiceStatus": {"rayClusterName": cluster}}}
    voices.rest.patch("rayservices", NAMESPACE, name, status, "status")
    spec = voices.rest.get("rayservices", NAMESPACE, name)["spec"]["rayClusterConfig"]
    meta = {"name": cluster, "namespace": NAMESPACE, "labels": build_labels(name)}
    body = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": meta, "spec": spec}
    return voices.rest.create("rayclusters", NAMESPACE, body)


def create_pod(voices, name, cluster, pod, status):
    labels = build_labels(name) | {"ray.io/node-type": "worker", "ray.io/cluster": cluster}
    meta = {"name": pod, "namespace": NAMESPACE, "labels": labels}
    (group,) = voices.rest.get("rayservices", NAMESPACE, name)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    spec = group["template"]["spec"]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    voices.rest.create("pods", NAMESPACE, body)
    voices.rest.patch("pods", NAMESPACE, pod, {"status": status}, "status")


def build_status(container="containerStatuses", phase="Failed", **terminated):
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state = {"terminated": {"startedAt": now, "finishedAt": now} | terminated}
    item = {"name": "ray-worker", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return {"phase": phase, container: [item]}


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (build_status(exitCode=137, reason="OOMKilled"), "OutOfMemory", "exceeded its memory limit"),
        (build_status(exitCode=1, reason="Error", message="no such device"), "PodCrashing", "no such device"),
        (build_status("initContainerStatuses", exitCode=2, reason="Error"), "PodCrashing", "ended with 2"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on ephemeral-storage"}, "PodCrashing", "ephemeral"),
    ],
)
def test_pods_that_fail_one_after_the_other_are_named_though_they_are_replaced(
    voices, released, status, reason, message
):
    prepare_cluster(voices, released, f"{released}-1")
    for number in range(2):
        pod = f"{released}-{number}"
        create_pod(voices, released, f"{released}-1", pod, status)
        voices.rest.delete("pods", NAMESPACE, pod)
    text = voices.wait_condition(released, "Available", "False", reason)
    assert message in text
    assert f"pod {released}-1" in text
    assert voices.condition(released, "Degraded")[:2] == ("True", reason)
    assert voices.status(released)["lastFailure"]["reason"] == reason


def test_why_a_replica_could_not_start_is_named_during_the_next_attempt(voices, released):
    def report(message):
        deployments = {"Synthesizer": {"status": "UPDATING", "message": message}}
        applications = {"voice": {"status": "DEPLOYING", "serveDeploymentStatuses": deployments}}
        status = {"status": {"activeServiceStatus": {"applicationStatuses": applications}}}
        voices.rest.patch("rayservices", NAMESPACE, released, status, "status")

    report("A replica failed to start with exception. Retrying. Error:\nKubeVoiceError: s3://voices: refused")
    voices.wait_condition(released, "Available", "False", "ServingFailed")
    report("Deployment has 1 replicas that have taken more than 30s to initialize.")
    before = voices.get(released)["metadata"]["generation"]
    voices.edit(released, {"serving": {"minReplicas": 2, "maxReplicas": 2}})
    voices.wait("the edit", lambda: voices.status(released)["observedGeneration"] > before)
    assert "s3://voices: refused" in voices.condition(released, "Available")[2]


def test_one_pod_that_fails_is_replaced_without_a_word(voices, released):
    prepare_cluster(voices, released, f"{released}-1")
    create_pod(voices, released, f"{released}-1", f"{released}-0", build_status(exitCode=1, reason="Error"))
    create_pod(voices, released, f"{released}-1", f"{released}-1", {"phase": "Running"})
    voices.edit(released, annotations={"seen": "1"})
    assert voices.condition(released, "Available")[:2] == ("False", "RollingOut")


UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no memory"}],
}


def test_pods_of_a_cluster_that_was_given_up_do_not_count(voices, released):
    prepare_cluster(voices, released, f"{released}-1")
    create_pod(voices, released, f"{released}-1", f"{released}-0", UNSCHEDULABLE)
    voices.wait_condition(released, "Available", "False", "Unschedulable")
    prepare_cluster(voices, released, f"{released}-2")
    voices.wait_condition(released, "Available", "False", "RollingOut")
    assert voices.condition(released, "Degraded")[0] == "False"


def test_a_cluster_whose_head_the_api_server_refuses_says_why(voices, released):
    cluster = prepare_cluster(voices, released, f"{released}-1")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": released, "namespace": NAMESPACE},
        "lastTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "type": "Warning",
        "reason": "FailedToCreateHeadPod",
        "message": "Failed to create head Pod: exceeded quota: small",
        "involvedObject": {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "namespace": NAMESPACE,
            "name": cluster["metadata"]["name"],
            "uid": cluster["metadata"]["uid"],
        },
    }
    voices.rest.create("events", NAMESPACE, event)
    text = voices.wait_condition(released, "Available", "False", "RefusedByApi", 60)
    assert f"RayCluster {released}-1 cannot create its pods" in text
    assert "exceeded quota: small" in text
    assert voices.condition(released, "Degraded")[:2] == ("True", "RefusedByApi")


def test_a_deleted_rayservice_that_a_finalizer_holds_is_named_and_another_follows(voices, released):
    first = voices.rest.get("rayservices", NAMESPACE, released)["metadata"]["uid"]
    held = {"metadata": {"finalizers": ["ray.io/rayservice"]}}
    voices.rest.patch("rayservices", NAMESPACE, released, held)
    voices.rest.delete("rayservices", NAMESPACE, released)
    text = voices.wait_condition(released, "Available", "False", "DeletionBlocked", 90)
    assert f"RayService {released}" in text
    assert "ray.io/rayservice" in text
    assert voices.condition(released, "Degraded")[:2] == ("True", "DeletionBlocked")
    voices.rest.patch("rayservices", NAMESPACE, released, {"metadata": {"finalizers": None}})

    def another():
        service = voices.rest.get("rayservices", NAMESPACE, released)
        return service and service["metadata"]["uid"] != first

    voices.wait("another RayService", another)
    voices.wait_condition(released, "Available", "False", "RollingOut")


def test_a_correction_is_not_blocked_by_a_cluster_without_pods(voices, released):
    prepare_cluster(voices, released, f"{released}-1")
    cluster = lambda: voices.rest.get("rayclusters", NAMESPACE, f"{released}-1")  # noqa: E731
    voices.edit(released, annotations={"seen": "1"})
    voices.wait_condition(released, "Available", "False", "RollingOut")
    assert cluster(), "it is what was applied"
    voices.edit(released, {"serving": {"nodeSelector": {"pool": "gpu"}}})
    voices.wait("the obsolete cluster to go", lambda: cluster() is None)


def test_a_cluster_with_pods_is_left_to_kuberay(voices, released):
    prepare_cluster(voices, released, f"{released}-1")
    create_pod(voices, released, f"{released}-1", f"{released}-0", UNSCHEDULABLE)
    voices.wait_condition(released, "Available", "False", "Unschedulable")
    voices.edit(released, {"serving": {"nodeSelector": {"pool": "gpu"}}})
    pools = lambda: voices.rest.get("rayservices", NAMESPACE, released)["spec"]["rayClusterConfig"]  # noqa: E731
    selector = lambda: pools()["headGroupSpec"]["template"]["spec"].get("nodeSelector")  # noqa: E731
    voices.wait("the change to be applied", lambda: selector() == {"pool": "gpu"})
    assert voices.rest.get("rayclusters", NAMESPACE, f"{released}-1")
