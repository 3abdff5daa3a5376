"""A Ray of several nodes, each with processes and a /proc of its own as a pod has, started as KubeRay would."""

import http.client
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.local.http import request
from kubevoice_operator.render.names import Images
from kubevoice_operator.render.ray_environment import PROXY_ENVIRONMENT, RAY_ENVIRONMENT
from kubevoice_operator.render.rayservice import BundleRef, TrafficSplit, render_rayservice, serve_config
from ports import free_port
from websocket_client import open_websocket

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.usefixtures("only_ray"),
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, for namespaces"),
]

MODEL = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {{name: toy}}
spec:
  base: {{uri: builtin://base}}
  dataset: {{uri: s3://data/set}}
  storage: {{artifactsUri: s3://voices}}
  serving: {{minReplicas: {replicas}, maxReplicas: {replicas}, replica: {{cpu: 0.5}}{more}}}
"""
LOOPBACK, HEAD, WORKERS = "127.0.0.1", "127.0.0.2", ["127.0.0.3", "127.0.0.4"]
TOKEN = "of-these-tests"  # noqa: S105  # of a Ray that lives as long as these tests
DEADLINE_SECONDS = 300.0
LEAVE_SECONDS = 240
NUMBERS = count()


def until(condition, state=str):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, state()
        time.sleep(0.2)


class Ray:
    """A head and workers, on addresses of loopback."""

    def __init__(self, folder):
        self.folder, self.nodes, self.arguments = folder, {}, {}
        self.gcs, self.dashboard, self.port = free_port(HEAD), free_port(HEAD), free_port()
        self.environment = (
            os.environ
            | RAY_ENVIRONMENT
            | PROXY_ENVIRONMENT
            | {f"RAY_SERVE_HAPROXY_{name}_PORT": str(free_port()) for name in ("STATS", "METRICS")}
            | {
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": TOKEN,
                "RAY_ADDRESS": f"{HEAD}:{self.gcs}",
            }
        )

    def start(self, address, parameters, *words):
        """Start a node with what KubeRay would hand to `ray start`."""
        self.arguments[address] = (parameters, *words)
        ports = [f"--{name}={free_port()}" for name in ("dashboard-agent-listen-port", "dashboard-agent-grpc-port")]
        ports += [f"--metrics-export-port={free_port()}", "--min-worker-port=0", "--max-worker-port=0"]
        given = [f"--{name}={value}" for name, value in parameters.items() if name != "dashboard-host"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--temp-dir=/tmp/ray"]
        alone = ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child"]
        scratch = ["bash", "-c", 'mkdir -p /tmp/ray; mount -t tmpfs tmpfs /tmp/ray; exec "$@"', "bash"]
        with (self.folder / f"{address}.log").open("wb") as log:
            self.nodes[address] = subprocess.Popen(
                [*alone, *scratch, *ray, f"--node-ip-address={address}", *given, *ports, *words],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def have_all_started(self):
        """Return whether every node has started. Ray gives each 30 seconds; KubeRay would replace one that gave up."""
        for address, node in self.nodes.items():
            if node.poll() is not None:
                self.start(address, *self.arguments[address])
        return all("Ray runtime started" in (self.folder / f"{address}.log").read_text() for address in self.nodes)

    def run(self, address, *command):
        """Start a command in a node's namespaces, as a preStop hook runs."""
        unshare = self.nodes[address].pid
        first = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()[0]
        return subprocess.Popen(["nsenter", "-t", first, "-m", "-p", *command], env=self.environment)

    def request_serve(self, method="GET", body=None):
        try:
            return request(self.dashboard, method, "/api/serve/applications/", body, token=TOKEN, timeout=30)
        except OSError:
            return 0, None

    def running(self, deployment):
        """Return the addresses of the nodes with a running replica."""
        state = self.request_serve()[1]["applications"]["voice"]["deployments"].get(deployment, {"replicas": []})
        return sorted(r["node_ip"] for r in state["replicas"] if r["state"] == "RUNNING")

    def read_logs(self):
        """Return the end of what each node printed, for the message of a failed test."""
        return "\n".join(f"{log.name}: {log.read_text()[-4000:]}" for log in sorted(self.folder.glob("*.log")))

    def stop(self):
        for node in self.nodes.values():
            node.kill()
            node.wait()


def load(replicas, more=""):
    return load_voicemodel(MODEL.format(replicas=replicas, more=more))


@pytest.fixture(scope="module")
def ray(tmp_path_factory, toy):
    cluster = Ray(tmp_path_factory.mktemp("nodes"))
    service = render_rayservice(load(1), TrafficSplit(BundleRef(toy.digest, str(toy.path))), Images())
    config = service["spec"]["rayClusterConfig"]
    head, workers = config["headGroupSpec"]["rayStartParams"], config["workerGroupSpecs"][0]["rayStartParams"]
    try:
        cluster.start(HEAD, head, "--head", f"--port={cluster.gcs}", f"--dashboard-port={cluster.dashboard}")
        until(lambda: cluster.have_all_started() and cluster.request_serve()[0] == 200, cluster.read_logs)
        # One after the other: together they would take longer than Ray gives each on a busy machine.
        for address in WORKERS:
            cluster.start(address, workers, f"--address={HEAD}:{cluster.gcs}")
            until(cluster.have_all_started, cluster.read_logs)
        yield cluster
    finally:
        cluster.stop()


def apply(ray, toy, replicas, more=""):
    config = serve_config(load(replicas, more), TrafficSplit(BundleRef(toy.digest, str(toy.path))))
    # Every node here has the same ports; one proxy is enough.
    config |= {"proxy_location": "HeadOnly", "http_options": {"host": LOOPBACK, "port": ray.port}}
    for application in config["applications"]:
        application["args"] = {"cacheDir": str(ray.folder / "cache")}
    until(lambda: ray.request_serve("PUT", config)[0] == 200)


def speak(ray):
    # Never the same text twice: the response would come from the cache.
    body = {"input": f"第{next(NUMBERS)}句，" + "今天天气真好。" * 50, "response_format": "wav"}
    return request(ray.port, "POST", "/v1/audio/speech", body, timeout=DEADLINE_SECONDS)[0]


def test_a_replica_of_half_a_cpu_fills_a_worker_and_the_ingress_is_on_the_head(ray, toy):
    apply(ray, toy, 2)
    until(lambda: len(ray.running("Synthesizer")) == 2)
    assert ray.running("Synthesizer") == WORKERS
    assert ray.running("Ingress") == [HEAD]


def get_status(ray, address, **headers):
    """Return the status of a response to a client with this address of loopback."""
    connection = http.client.HTTPConnection(LOOPBACK, ray.port, timeout=30, source_address=(address, 0))
    with closing(connection):
        connection.request("GET", "/v1/voices", headers=headers)
        return connection.getresponse().status


def test_each_address_has_a_rate_limit_behind_haproxy_whatever_it_claims(ray, toy):
    apply(ray, toy, 1, ", expose: {requestsPerMinute: 1}")
    until(lambda: get_status(ray, "127.0.0.5") == 429)
    assert [get_status(ray, "127.0.0.6") for _ in range(2)] == [200, 429]
    assert get_status(ray, "127.0.0.6", **{"X-Forwarded-For": "10.0.0.1"}) == 429
    apply(ray, toy, 1)
    until(lambda: get_status(ray, "127.0.0.6") == 200)


def test_a_worker_that_leaves_hands_its_replica_over_and_finishes_its_requests(ray, toy):
    apply(ray, toy, 1)
    until(lambda: len(ray.running("Synthesizer")) == 1)
    (leaving,), answers, done = ray.running("Synthesizer"), [], threading.Event()

    def send_requests():
        while not done.is_set():
            answers.append(speak(ray))

    clients = [threading.Thread(target=send_requests) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        until(lambda: answers)
        with open_websocket(f"http://{LOOPBACK}:{ray.port}") as connection:
            connection.send("start")
            hook = ray.run(leaving, sys.executable, "-m", "kubevoice_serving.routing.drain", str(LEAVE_SECONDS))
            while hook.poll() is None:  # one connection is served by one replica after the other
                connection.send("text", text=f"第{next(NUMBERS)}句。")
                connection.send("flush")
                connection.receive_until("speech.flushed")
                with suppress(subprocess.TimeoutExpired):
                    hook.wait(1)
            assert hook.returncode == 0
            connection.send("end")
            assert connection.receive_until_closed() == (1000, "")
    finally:
        done.set()
        for client in clients:
            client.join()
    assert set(answers) == {200}
    assert set(ray.running("Synthesizer")).isdisjoint({leaving})
    assert len(ray.running("Synthesizer")) == 1


def test_a_drain_without_a_head_ends_at_once(ray):
    hook = ray.run(WORKERS[0], sys.executable, "-m", "kubevoice_serving.routing.drain", str(LEAVE_SECONDS))
    ray.nodes[HEAD].kill()
    began = time.monotonic()
    assert hook.wait(LEAVE_SECONDS) == 1
    assert time.monotonic() - began < 30
