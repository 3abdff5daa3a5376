"""A real Prometheus, which scrapes pods as the chart's PodMonitors say."""

import json
import math
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
import yaml
from ports import free_port

HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))
META = "__meta_kubernetes_pod_label_"
SNAKE = {"sourceLabels": "source_labels", "targetLabel": "target_label"}


def _chosen(monitor, pod):
    spec, labels = monitor["spec"], pod["metadata"]["labels"]
    wanted = spec.get("namespaceSelector") or {"matchNames": [monitor["metadata"]["namespace"]]}
    near = wanted.get("any") or pod["metadata"]["namespace"] in wanted["matchNames"]
    selector = spec["selector"]
    present = [item["key"] in labels for item in selector.get("matchExpressions", ()) if item["operator"] == "Exists"]
    return near and all(present) and selector.get("matchLabels", {}).items() <= labels.items()


def _targets(pod, port):
    """Where a pod's port of that name is, with the labels that a scrape has before relabelling and after."""
    metadata = pod["metadata"]
    meta = {META + name.translate(str.maketrans("./-", "___")): value for name, value in metadata["labels"].items()}
    for container in pod["spec"]["containers"]:
        for item in container.get("ports", ()):
            if item.get("name") == port:
                place = {"namespace": metadata["namespace"], "pod": metadata["name"], "container": container["name"]}
                yield {"targets": [f"{pod['status']['podIP']}:{item['containerPort']}"], "labels": place | meta}


def scrape_configs(monitors, pods):
    """What the Prometheus operator would tell Prometheus of these pods, as JSON of Kubernetes; once a second."""
    return [
        {
            "job_name": monitor["metadata"]["name"],
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "honor_labels": endpoint.get("honorLabels", False),
            "static_configs": [t for pod in pods if _chosen(monitor, pod) for t in _targets(pod, endpoint["port"])],
            "relabel_configs": [
                {SNAKE.get(name, name): value for name, value in rule.items()}
                for rule in endpoint.get("relabelings", ())
            ],
        }
        for monitor in monitors
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
    ]


class PrometheusServer:
    """One server on a port of loopback, over what `scrape_configs` says."""

    def __init__(self, folder, configs):
        self.binary = shutil.which("prometheus")
        if self.binary is None:
            pytest.skip("prometheus is not installed")
        self.folder = folder
        self._write(configs)
        self.port = free_port()

    def __enter__(self):
        words = [f"--config.file={self.folder}/prometheus.yaml", f"--storage.tsdb.path={self.folder}/tsdb"]
        words.append(f"--web.listen-address=127.0.0.1:{self.port}")
        self._log = (self.folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen([self.binary, *words], stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 60
        while not self._ready():
            assert self._process.poll() is None, (self.folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline, (self.folder / "prometheus.log").read_text()
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _write(self, configs):
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": configs}))

    def reload(self, configs):
        """Scrape by other configs from now on."""
        self._write(configs)
        self._process.send_signal(signal.SIGHUP)

    def _ready(self):
        try:
            return self._get("/-/ready") is not None
        except OSError:
            return False

    def _get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(parameters)}"
        with HTTP.open(url, timeout=10) as answer:
            return answer.read()

    def query(self, expression):
        """The samples of an instant query: labels, and value."""
        samples = json.loads(self._get("/api/v1/query", query=expression))["data"]["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in samples]

    def shows(self, expression):
        """Whether an instant query gives any number."""
        return any(not math.isnan(value) for _, value in self.query(expression))

    def targets(self):
        """How each target does: by job and pod, what was wrong with the last scrape, or nothing."""
        active = json.loads(self._get("/api/v1/targets"))["data"]["activeTargets"]
        return {
            (t["labels"]["job"], t["labels"]["pod"]): t["lastError"] if t["health"] != "unknown" else "-"
            for t in active
        }
