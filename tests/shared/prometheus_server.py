"""A Prometheus server that scrapes pods as the chart's PodMonitors require."""

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


def _is_selected(monitor, pod):
    spec, labels = monitor["spec"], pod["metadata"]["labels"]
    namespaces = spec.get("namespaceSelector") or {"matchNames": [monitor["metadata"]["namespace"]]}
    in_namespace = namespaces.get("any") or pod["metadata"]["namespace"] in namespaces["matchNames"]
    selector = spec["selector"]
    present = [item["key"] in labels for item in selector.get("matchExpressions", ()) if item["operator"] == "Exists"]
    return in_namespace and all(present) and selector.get("matchLabels", {}).items() <= labels.items()


def _iter_targets(pod, port):
    """Yield the targets of a pod's port: address, labels, and meta labels for relabelling."""
    metadata = pod["metadata"]
    meta = {META + name.translate(str.maketrans("./-", "___")): value for name, value in metadata["labels"].items()}
    for container in pod["spec"]["containers"]:
        for item in container.get("ports", ()):
            if item.get("name") == port:
                labels = {
                    "namespace": metadata["namespace"],
                    "pod": metadata["name"],
                    "container": container["name"],
                }
                yield {"targets": [f"{pod['status']['podIP']}:{item['containerPort']}"], "labels": labels | meta}


def build_scrape_configs(monitors, pods):
    """Return the scrape configs that the Prometheus operator would make, with an interval of a second."""
    return [
        {
            "job_name": monitor["metadata"]["name"],
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "honor_labels": endpoint.get("honorLabels", False),
            "static_configs": [
                t for pod in pods if _is_selected(monitor, pod) for t in _iter_targets(pod, endpoint["port"])
            ],
            "relabel_configs": [
                {SNAKE.get(name, name): value for name, value in rule.items()}
                for rule in endpoint.get("relabelings", ())
            ],
        }
        for monitor in monitors
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
    ]


class PrometheusServer:
    """A server on a free port of loopback, with scrape configs of `build_scrape_configs`."""

    def __init__(self, folder, configs):
        self.binary = shutil.which("prometheus")
        if self.binary is None:
            pytest.skip("prometheus is not installed")
        self.folder = folder
        self._write(configs)
        self.port = free_port()

    def __enter__(self):
        options = [f"--config.file={self.folder}/prometheus.yaml", f"--storage.tsdb.path={self.folder}/tsdb"]
        options.append(f"--web.listen-address=127.0.0.1:{self.port}")
        self._log = (self.folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen([self.binary, *options], stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 60
        while not self._is_ready():
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
        """Replace the scrape configs."""
        self._write(configs)
        self._process.send_signal(signal.SIGHUP)

    def _is_ready(self):
        try:
            return self._get("/-/ready") is not None
        except OSError:
            return False

    def _get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(parameters)}"
        with HTTP.open(url, timeout=10) as answer:
            return answer.read()

    def query(self, expression):
        """Return the samples of an instant query: (labels, value)."""
        samples = json.loads(self._get("/api/v1/query", query=expression))["data"]["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in samples]

    def has_data(self, expression):
        """Return whether an instant query has any sample that is a number."""
        return any(not math.isnan(value) for _, value in self.query(expression))

    def read_target_errors(self):
        """Return the error of the last scrape by (job, pod): "" if there was none, "-" before the first scrape."""
        active = json.loads(self._get("/api/v1/targets"))["data"]["activeTargets"]
        return {
            (t["labels"]["job"], t["labels"]["pod"]): t["lastError"] if t["health"] != "unknown" else "-"
            for t in active
        }
