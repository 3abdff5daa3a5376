"""Progress and metrics that a stage serves over HTTP."""

import http.client
import json
import socket

import pytest
from kubevoice.resources.stages import Progress, Stage
from kubevoice_training.runtime.progress import ProgressFile
from kubevoice_training.runtime.telemetry import serve_telemetry
from ports import free_port


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def progress(tmp_path):
    return ProgressFile(tmp_path / "progress.json", Stage.TRAIN)


def test_progress_and_metrics_are_reported_from_the_first_report_on(progress):
    port = free_port()
    with serve_telemetry(port, progress):
        assert get(port, "/healthz") == (200, "ok\n")
        assert get(port, "/progress") == (204, "")
        assert "kubevoice_stage" not in get(port, "/metrics")[1]
        progress.report(3, 10, loss=1.5)
        status, body = get(port, "/progress")
        answer = Progress.model_validate_json(body)
        assert (status, answer.stage, answer.step, answer.percent, answer.loss) == (200, Stage.TRAIN, 3, 30.0, 1.5)
        progress.report(4, 10, loss=1.25, dev_loss=2.0)  # at once after: the file is spared, the answer is new
        assert json.loads(get(port, "/progress")[1])["step"] == 4
        metrics = get(port, "/metrics")[1]
        assert 'kubevoice_stage_loss{stage="train"} 1.25' in metrics
        assert 'kubevoice_stage_dev_loss{stage="train"} 2.0' in metrics
        assert 'kubevoice_stage_percent{stage="train"} 40.0' in metrics
        assert get(port, "/secret")[0] == 404
    with pytest.raises(ConnectionRefusedError):
        get(port, "/healthz")


@pytest.mark.parametrize("port", [None, 70_000])
def test_a_stage_needs_no_port(progress, port, capsys):
    with serve_telemetry(port, progress):
        progress.report(1, 1)
    assert bool(capsys.readouterr().out) == (port is not None)


def test_a_port_in_use_is_said_and_the_stage_goes_on(progress, capsys):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with serve_telemetry(port, progress):
            progress.report(1, 1)
    assert f"port {port}" in capsys.readouterr().out
    assert progress.latest.percent == 100.0


def test_a_running_stage_tells_how_far_it_is(make, prepared):
    stages, port = make(500), free_port()
    process = stages.begin("train", stages.train_spec(prepared), listen=port)

    def read_progress():
        try:
            status, body = get(port, "/progress")
        except ConnectionRefusedError:
            return None
        return Progress.model_validate_json(body) if status == 200 else None

    stages.until(lambda: (progress := read_progress()) and progress.step >= 2, process)
    progress = read_progress()
    assert (progress.stage, progress.total) == (Stage.TRAIN, 500)
    assert progress.loss > 0
    process.kill()
    process.wait()


def test_clients_that_hang_or_send_nonsense_do_no_harm(progress):
    port = free_port()
    with serve_telemetry(port, progress):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        idle[0].sendall(b"\x00\xff garbage\r\n\r\n")
        progress.report(1, 2)
        assert get(port, "/progress")[0] == 200
        for one in idle:
            one.close()
