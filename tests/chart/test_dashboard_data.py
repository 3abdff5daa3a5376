"""Every panel of the dashboard has data, in a real Prometheus that scrapes the product's processes.

Ray's own metrics exist only on a cluster and are not tested here.
"""

import itertools
import time

import pytest
from chart import read_panel_queries, render_chart, render_pod_monitors
from http_app import serve_app
from kubevoice.resources.conditions import Condition, ConditionType, Reason, State
from kubevoice.resources.stages import Stage
from kubevoice.resources.status import Replicas, ServingStatus, VoiceModelStatus
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_training.runtime.progress import ProgressFile
from kubevoice_training.runtime.telemetry import serve_telemetry
from prometheus_client import start_http_server
from prometheus_server import PrometheusServer, build_scrape_configs
from toy_voice import make_toy_voice

QUERIES = [(title, query) for title, query in read_panel_queries("voices", "mei|lan") if "ray_" not in query]
PATIENCE_SECONDS = 120


def pod(name, namespace, labels, port, number):
    container = {"name": "main", "ports": [{"name": port, "containerPort": number}]}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"metadata": metadata, "spec": {"containers": [container]}, "status": {"podIP": "127.0.0.1"}}


@pytest.fixture
def operator():
    """An operator that serves its metrics on a port."""
    metrics = OperatorMetrics()
    server, thread = start_http_server(0, "127.0.0.1", registry=metrics.registry)
    yield metrics, server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def stage(tmp_path, free_tcp_port):
    """A running training stage that serves its metrics on a port."""
    progress = ProgressFile(tmp_path / "progress.json", Stage.TRAIN)
    for step in range(1, 6):
        progress.report(step, 10, loss=1.0, dev_loss=2.0)
    with serve_telemetry(free_tcp_port, progress):
        yield free_tcp_port


def work(metrics, site, turn):
    """Let the operator reconcile and a voice synthesize, so that counters grow."""
    metrics.leading.set(1)
    metrics.count_phases(["Ready"])
    available = Condition(
        type=ConditionType.AVAILABLE,
        status=State.TRUE,
        reason=Reason.SERVING,
        last_transition_time="2026-01-01T00:00:00Z",
    )
    replicas = ServingStatus(replicas=Replicas(desired=2, ready=1))
    metrics.update("voices", "mei", VoiceModelStatus(conditions=(available,), serving=replicas))
    metrics.queue.set(turn)
    metrics.errors.labels("api").inc()
    metrics.reaction_seconds.observe(0.1)
    metrics.stage_seconds.labels("train").observe(60)
    metrics.api_requests.labels("apply", "jobs", "200").inc()
    sentence = f"今天是第{turn}天。" if turn % 2 else "今天天气真好。"
    assert site.call("POST", "/v1/audio/speech", {"input": sentence, "response_format": "wav"})[0] == 200


def test_every_panel_shows_something(operator, stage, tmp_path):
    metrics, operator_port = operator
    kubevoice = {"app.kubernetes.io/name": "kubevoice"}
    voice = kubevoice | {"kubevoice.io/voicemodel": "mei"}
    (deployment,) = (item for item in render_chart() if item["kind"] == "Deployment")
    head = voice | {"app.kubernetes.io/component": "serving", "ray.io/node-type": "head"}
    (tmp_path / "site").mkdir()
    with serve_app(tmp_path / "site", make_toy_voice(tmp_path / "toy")) as site:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        pods = [
            pod("operator-1", "kubevoice-system", labels, "http", operator_port),
            pod("mei-train-1", "voices", voice | {"kubevoice.io/stage": "train"}, "telemetry", stage),
            pod("mei-head-1", "voices", head, "serve", site.port),
        ]
        with PrometheusServer(tmp_path, build_scrape_configs(render_pod_monitors(), pods)) as prometheus:
            empty, deadline = QUERIES, time.monotonic() + PATIENCE_SECONDS
            for turn in itertools.count():
                work(metrics, site, turn)
                empty = [(title, query) for title, query in empty if not prometheus.has_data(query)]
                if not empty:
                    break
                assert time.monotonic() < deadline, empty
                time.sleep(0.2)
            assert set(prometheus.read_target_errors().values()) == {""}
            # Labels as alerts and panels expect them.
            ((labels, _),) = prometheus.query("kubevoice_voicemodel_available")
            assert (labels["namespace"], labels["name"]) == ("voices", "mei")
            ((labels, _),) = prometheus.query("kubevoice_stage_percent")
            assert (labels["namespace"], labels["voicemodel"], labels["stage"]) == ("voices", "mei", "train")
