"""The node has what the product's tests rely on: restricted pods, Services, DNS, S3, Ray, and no outside network."""

import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from objects import applications, pod, pod_spec, rayservice, run_pod, service

from voices import s3_client

pytestmark = pytest.mark.xdist_group("node")

RAY_SECONDS = 600
SERVE_PORT = 8000

S3_SCRIPT = """
from kubevoice.storage import S3Options, connect
storage = connect("s3://fixture/from-pod", S3Options(endpoint="{endpoint}", path_style=True))
storage.write("answer", b"echo " + storage.read("question"))
"""


@pytest.fixture(scope="module")
def namespace(node):
    return node.namespace("fixture")


def fetch(address, port, path="/"):
    """Return the body of an HTTP response, read without a proxy; None if there is no response."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}:{port}{path}", timeout=5) as response:
            return response.read().decode()
    except OSError:
        return None


def test_the_node_has_the_cores_of_the_machine(node):
    (item,) = node.get("nodes")["items"]
    cores = len(Path("/proc/cpuinfo").read_text().split("processor\t")) - 1
    assert int(item["status"]["allocatable"]["cpu"]) == cores


def test_a_pod_that_violates_the_restricted_standard_is_refused(node, namespace):
    spec = pod_spec("true")
    del spec["securityContext"]
    with pytest.raises(RuntimeError, match="violates PodSecurity"):
        node.apply([pod("unrestricted", namespace, spec)])


def test_pods_and_tests_reach_a_pod_by_its_service(node, namespace):
    server = pod_spec("python", "-m", "http.server", "8000", "--directory", "/etc")
    node.apply([pod("web", namespace, server), service("web", namespace, 8000)])
    address = node.resolve("web", namespace)
    node.wait("a response to the tests", lambda: fetch(address, 8000, "/hostname") == "web\n")
    script = f"wget -qO- http://web.{namespace}.svc.cluster.local:8000/hostname http://web:8000/hostname"
    assert run_pod(node, "client", namespace, pod_spec("bash", "-c", script)) == "web\nweb\n"


def test_a_pod_reaches_itself_over_its_service(node, namespace):
    serve = "python -m http.server 8000 -d /etc > /dev/null 2>&1"  # its log would be in the output
    script = f"{serve} & until wget -qO- http://self:8000/hostname; do sleep 0.1; done"
    node.apply([service("self", namespace, 8000)])
    assert run_pod(node, "self", namespace, pod_spec("bash", "-c", script)) == "self\n"


def test_pods_and_tests_share_s3(node, namespace):
    s3 = node.s3
    client = s3_client(s3)
    client.create_bucket(Bucket="fixture")
    client.put_object(Bucket="fixture", Key="from-pod/question", Body="听见了吗".encode())
    node.apply([s3.secret("s3", namespace)])
    script = S3_SCRIPT.format(endpoint=s3.endpoint)
    run_pod(node, "s3", namespace, pod_spec("python", "-c", script, envFrom=[{"secretRef": {"name": "s3"}}]))
    answer = client.get_object(Bucket="fixture", Key="from-pod/answer")["Body"].read()
    client.close()
    assert answer.decode() == "echo 听见了吗"


def test_a_pod_reaches_nothing_outside(node, namespace):
    tests_address = node.sandbox.slot.tests_address
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104  # on every address of this machine
        port = listener.getsockname()[1]
        socket.create_connection((tests_address, port), timeout=5).close()
        others = [line.split()[3].split("/")[0] for line in ip("-o", "-4", "address", "show", "scope", "global")]
        gateways = [line.split()[2] for line in ip("-4", "route", "show", "default") if "via" in line]
        targets = sorted({tests_address, *others, *gateways, "192.0.2.77"})
        script = "; ".join(f"! timeout 5 bash -c '</dev/tcp/{target}/{port}'" for target in targets)
        run_pod(node, "outside", namespace, pod_spec("bash", "-ec", script))
        listener.settimeout(0)
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()


def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_component_can_be_killed_and_started_again(node):
    node.stop("versitygw", signal.SIGKILL)
    port = int(node.s3.endpoint.rsplit(":")[-1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((node.s3.endpoint.split(":")[1].strip("/"), port), timeout=5)
    node.start("versitygw")
    assert node.components["versitygw"].running


@pytest.mark.slow
@pytest.mark.parametrize("autoscaling", [False, True], ids=["fixed", "autoscaled"])
def test_a_rayservice_serves_and_applies_a_new_config(node, namespace, autoscaling):
    name = f"greeter-{autoscaling}".lower()
    ray_service = rayservice(name, namespace, "hello", autoscaling=autoscaling)
    node.apply([applications(namespace), ray_service])

    def is_running():
        return node.get("rayservice", name, "-n", namespace).get("status", {}).get("serviceStatus") == "Running"

    def read_greeting():
        return fetch(node.resolve(f"{name}-serve-svc", namespace), SERVE_PORT)

    def list_pods(label):
        return {item["metadata"]["name"] for item in node.items("pods", namespace, label)}

    node.wait("a running RayService", is_running, RAY_SECONDS)
    node.wait("its answer", lambda: read_greeting() == "hello")
    before = list_pods("ray.io/is-ray-node=yes")
    node.apply([rayservice(name, namespace, "goodbye", autoscaling=autoscaling)])
    node.wait("the new config", lambda: read_greeting() == "goodbye")
    # In place: the pods are the same.
    assert list_pods("ray.io/is-ray-node=yes") == before
    node.delete([ray_service])
    node.wait("the end of its pods", lambda: not list_pods("ray.io/is-ray-node=yes"))
