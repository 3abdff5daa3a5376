"""The README on a cluster: Helm installs, the minimal example is served, and upgrades interrupt no request.

The tests go in this order.
"""

import operators
import pytest
import yaml
from chart import RELEASE, SYSTEM, read_panel_queries, render_pod_monitors
from prometheus_server import PrometheusServer, build_scrape_configs
from testcluster.products import image_name

import voices
from voices import Client, Voice, list_objects

pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.slow]

EXAMPLE = voices.ROOT / "examples" / "minimal.yaml"
NEXT = f"{image_name('serving')}-next"
"""The serving image of the next version."""
UPGRADED = {"images": {"serving": {"tag": NEXT.rpartition(":")[2]}}}
NOT_HERE = {"GPU", "GPU memory"}
"""Panels of what this machine lacks."""


@pytest.fixture(scope="module")
def voice(node):
    """The example with our S3, as its comment asks; with less CPU, for there are two while one is replaced."""
    voices.prepare(node, "voices")
    voices.upload_dataset(node.s3, "hsk-words", clips=None)
    model = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    model["spec"]["storage"]["endpoint"] = node.s3.endpoint
    model["spec"]["serving"]["replica"] = {"cpu": 0.2}
    voice = Voice(node, model)
    yield voice
    voice.delete()
    voice.wait("the end of its pods", lambda: not voice.pods(), 180)


def operator_pods(node):
    return {
        pod["metadata"]["uid"] for pod in list_objects(node, "pods", SYSTEM, "app.kubernetes.io/component=operator")
    }


def ray_cluster(voice):
    """The uid of the Ray cluster that serves."""
    service = voice.cluster.get("rayservice", voice.name, "-n", voice.namespace)
    name = service["status"]["activeServiceStatus"]["rayClusterName"]
    return voice.cluster.get("raycluster", name, "-n", voice.namespace)["metadata"]["uid"]


def test_helm_says_how_to_see_that_it_runs(node):
    notes = operators.release(node)
    words = next(line.split() for line in notes.splitlines() if line.strip().startswith("kubectl rollout status"))
    assert "successfully rolled out" in node.kubectl(*words[1:])


class Watch:
    """A Prometheus that follows every pod which the chart's PodMonitors choose."""

    def __init__(self, node, prometheus):
        self._node, self._prometheus, self._monitors, self._configs = node, prometheus, render_pod_monitors(), []
        self.empty = [(title, query) for title, query in read_panel_queries("voices", ".+") if title not in NOT_HERE]
        """Panels that have shown nothing yet."""

    def look(self):
        """Follow the pods; return whether every panel has shown something."""
        pods = [pod for pod in self._node.get("pods", "-A")["items"] if pod["status"]["phase"] == "Running"]
        if (configs := build_scrape_configs(self._monitors, pods)) != self._configs:
            self._prometheus.reload(configs)
            self._configs = configs
        self.empty = [(title, query) for title, query in self.empty if not self._prometheus.has_data(query)]
        return not self.empty

    def jobs(self):
        """Jobs that have a pod, where all of them answered."""
        targets = self._prometheus.read_target_errors()
        return {job for job, _ in targets if not any(wrong for (name, _), wrong in targets.items() if name == job)}


def test_the_minimal_example_speaks_and_every_panel_shows_it(node, voice, tmp_path):
    voice.apply()
    with PrometheusServer(tmp_path, []) as prometheus:
        watch = Watch(node, prometheus)

        def ready():
            watch.look()
            return voice.condition("Ready").get("status") == "True"

        voice.wait("Ready", ready, 600)
        status, _, body = voice.speak("今天天气真好。")
        assert (status, body[:4]) == (200, b"RIFF")

        def find_data():
            for cache in ("no-cache", "max-age=60"):
                voice.speak("今天天气真好。", cache=cache)
            return watch.look()

        try:
            voice.wait("data in every panel", find_data, 90)
        except TimeoutError as error:
            raise AssertionError(f"empty: {watch.empty}; targets: {prometheus.read_target_errors()}") from error
        # Stages have ended by now.
        wanted = {monitor["metadata"]["name"] for monitor in render_pod_monitors()} - {"kubevoice-stages"}
        voice.wait("an answer of every pod", lambda: watch.jobs() == wanted, 60)


def test_an_upgrade_of_the_operator_is_not_heard(node, voice):
    operator, serving = operator_pods(node), ray_cluster(voice)
    with Client(voice) as client:
        operators.release(node, {"operator": {"podAnnotations": {"example.com/change": "1"}, "logLevel": "debug"}})
        voice.wait("the end of the old operators", lambda: not operator & operator_pods(node), 60)
        voice.apply(serving={"targetOngoingRequests": 3})
        voice.wait_ready(120)
    assert client.failures == []
    assert client.revisions
    assert ray_cluster(voice) == serving


def test_an_upgrade_of_the_images_brings_another_ray_cluster_and_is_not_heard(node, voice):
    node.sandbox.run("ctr", "--namespace=k8s.io", "images", "tag", image_name("serving"), NEXT)
    before = ray_cluster(voice)
    with Client(voice) as client:
        operators.release(node, UPGRADED)
        voice.wait("another Ray cluster", lambda: ray_cluster(voice) != before, 420)
        voice.wait_ready(180)
    assert client.failures == []
    heads = voice.pods("ray.io/node-type=head")
    images = {container["image"] for pod in heads for container in pod["spec"]["containers"]}
    assert NEXT.removeprefix("docker.io/") in images


def test_an_operator_that_is_uninstalled_leaves_voices_speaking_and_is_taken_up_again(node, voice):
    serving = ray_cluster(voice)
    with Client(voice) as client:
        operators.run_helm(node, "uninstall", RELEASE, "--wait")
        voice.wait("the end of the operators", lambda: not operator_pods(node), 60)
        voice.apply(serving={"targetOngoingRequests": 2})
        operators.release(node, UPGRADED)
        voice.wait_ready(180)
    assert client.failures == []
    assert ray_cluster(voice) == serving
