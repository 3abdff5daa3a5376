"""The README on a cluster: Helm installs, the minimal example is served, and upgrades fail no request.

The tests run in this order.
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
MISSING_PANELS = {"GPU", "GPU memory"}
"""Panels about hardware that this machine does not have."""


@pytest.fixture(scope="module")
def voice(node):
    """The example with the node's S3, with fewer steps of training, and with less CPU.

    Two replicas run while one is replaced.
    """
    voices.prepare(node, "voices")
    voices.upload_dataset(node.s3, "hsk-words", clips=None)
    model = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    model["spec"]["storage"]["endpoint"] = node.s3.endpoint
    model["spec"]["training"] |= {"maxSteps": 60, "saveEvery": 20}
    model["spec"]["serving"]["replica"] = {"cpu": 0.2}
    voice = Voice(node, model)
    yield voice
    voice.delete()
    voice.wait("the end of its pods", lambda: not voice.pods(), 420)


def list_operator_pods(node):
    return {
        pod["metadata"]["uid"] for pod in list_objects(node, "pods", SYSTEM, "app.kubernetes.io/component=operator")
    }


def read_ray_cluster(voice):
    """Return the uid of the active Ray cluster."""
    service = voice.cluster.get("rayservice", voice.name, "-n", voice.namespace)
    name = service["status"]["activeServiceStatus"]["rayClusterName"]
    return voice.cluster.get("raycluster", name, "-n", voice.namespace)["metadata"]["uid"]


def test_the_notes_of_helm_have_a_command_that_shows_the_rollout(node):
    notes = operators.release(node)
    command = next(line.split() for line in notes.splitlines() if line.strip().startswith("kubectl rollout status"))
    assert "successfully rolled out" in node.kubectl(*command[1:])


class DashboardMonitor:
    """A Prometheus that scrapes every pod of the chart's PodMonitors, and the panels without data so far."""

    def __init__(self, node, prometheus):
        self._node, self._prometheus, self._monitors, self._configs = node, prometheus, render_pod_monitors(), []
        self.empty = [
            (title, query) for title, query in read_panel_queries("voices", ".+") if title not in MISSING_PANELS
        ]
        """Panels that have had no data yet; written by `update`."""

    def update(self):
        """Scrape the current pods; return whether every panel has had data."""
        pods = [pod for pod in self._node.get("pods", "-A")["items"] if pod["status"]["phase"] == "Running"]
        if (configs := build_scrape_configs(self._monitors, pods)) != self._configs:
            self._prometheus.reload(configs)
            self._configs = configs
        self.empty = [(title, query) for title, query in self.empty if not self._prometheus.has_data(query)]
        return not self.empty

    def jobs(self):
        """Return the scrape jobs whose targets all answered."""
        targets = self._prometheus.read_target_errors()
        return {job for job, _ in targets if not any(error for (name, _), error in targets.items() if name == job)}


def test_the_minimal_example_is_served_and_every_panel_has_data(node, voice, tmp_path):
    voice.apply()
    with PrometheusServer(tmp_path, []) as prometheus:
        monitor = DashboardMonitor(node, prometheus)

        def is_ready():
            monitor.update()
            return voice.condition("Ready").get("status") == "True"

        voice.wait("Ready", is_ready, 600)
        status, _, body = voice.speak("今天天气真好。")
        assert (status, body[:4]) == (200, b"RIFF")

        def find_data():
            for cache in ("no-cache", "max-age=60"):
                voice.speak("今天天气真好。", cache=cache)
            return monitor.update()

        try:
            voice.wait("data in every panel", find_data, 180)
        except TimeoutError as error:
            raise AssertionError(f"empty: {monitor.empty}; targets: {prometheus.read_target_errors()}") from error
        # The stages have ended.
        expected = {item["metadata"]["name"] for item in render_pod_monitors()} - {"kubevoice-stages"}
        voice.wait("an answer of every pod", lambda: monitor.jobs() == expected, 180)


def test_an_upgrade_of_the_operator_fails_no_request(node, voice):
    operator, serving = list_operator_pods(node), read_ray_cluster(voice)
    with Client(voice) as client:
        operators.release(node, {"operator": {"podAnnotations": {"example.com/change": "1"}, "logLevel": "debug"}})
        voice.wait("the end of the old operators", lambda: not operator & list_operator_pods(node), 180)
        voice.apply(serving={"targetOngoingRequests": 3})
        voice.wait_ready(120)
    assert client.failures == []
    assert client.revisions
    assert read_ray_cluster(voice) == serving


def test_an_upgrade_of_the_images_needs_another_ray_cluster_and_fails_no_request(node, voice):
    node.sandbox.run("ctr", "--namespace=k8s.io", "images", "tag", image_name("serving"), NEXT)
    before = read_ray_cluster(voice)
    with Client(voice) as client:
        operators.release(node, UPGRADED)
        voice.wait("another Ray cluster", lambda: read_ray_cluster(voice) != before, 420)
        voice.wait_ready(180)
    assert client.failures == []
    heads = voice.pods("ray.io/node-type=head")
    images = {container["image"] for pod in heads for container in pod["spec"]["containers"]}
    assert NEXT.removeprefix("docker.io/") in images


def test_voices_are_served_while_the_operator_is_uninstalled(node, voice):
    serving = read_ray_cluster(voice)
    with Client(voice) as client:
        operators.run_helm(node, "uninstall", RELEASE, "--wait")
        voice.wait("the end of the operators", lambda: not list_operator_pods(node), 180)
        voice.apply(serving={"targetOngoingRequests": 2})
        operators.release(node, UPGRADED)
        voice.wait_ready(180)
    assert client.failures == []
    assert read_ray_cluster(voice) == serving
