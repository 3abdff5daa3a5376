"""The status of a voice on this machine is true after `up` was stopped while replicas started, or failed there."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from kubevoice.resources.stages import GateResult, PrepareResult, ReleaseResult, TrainResult
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.local.contents import hash_inputs
from kubevoice_operator.observed_state import JobPhase, ObservedJob, ObservedState
from kubevoice_operator.planner import plan
from kubevoice_operator.render.names import Images

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("only_ray")]

VOICEMODEL = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: toy}
spec:
  base: {uri: builtin://base}
  dataset: {uri: data/}
"""
COMMAND = [sys.executable, "-c", "from kubevoice_cli.main import run; run()"]
DEADLINE_SECONDS = 120


@pytest.fixture
def home(tmp_path, toy):
    """A state folder in which the stages of the voice `toy` are done."""
    home = tmp_path / "home"
    (tmp_path / "data").mkdir()
    (tmp_path / "voice.yaml").write_text(VOICEMODEL, encoding="utf-8")
    model, digest = load_voicemodel(tmp_path / "voice.yaml", artifacts=home / "artifacts"), "sha256:" + "0" * 64
    results = [
        PrepareResult(
            dataset_digest=digest, features_uri="f", features_digest=digest, clips=1, seconds=1, per_emotion={}
        ),
        TrainResult(checkpoint_uri="c", checkpoint_digest=digest, step=1, loss=1.0),
        ReleaseResult(revision=toy.digest, uri=toy.path.as_uri(), metrics={}, verdict=GateResult.PASSED),
    ]
    contents, jobs = hash_inputs(model, home / "digests"), {}
    for result in results:
        (job,) = plan(model, ObservedState(contents, jobs), datetime.now(UTC), Images()).jobs
        folder = home / "jobs" / job["metadata"]["name"]
        folder.mkdir(parents=True)
        (folder / "exit.json").write_text('{"exitCode": 0}')
        (folder / "termination-message").write_text(message := result.model_dump_json())
        jobs[job["metadata"]["name"]] = ObservedJob(JobPhase.SUCCEEDED, message, 0)
    return home


def kubevoice(home, *words):
    env = os.environ | {"KUBEVOICE_HOME": str(home), "COLUMNS": "200"}
    return subprocess.run(
        [*COMMAND, *words], cwd=home.parent, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_an_interrupted_start_is_reported_with_the_command_that_continues(home):
    up = subprocess.Popen(
        [*COMMAND, "up", "-f", "voice.yaml"],
        cwd=home.parent,
        env=os.environ | {"KUBEVOICE_HOME": str(home)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    run, deadline = home / "runs" / "toy.json", time.monotonic() + DEADLINE_SECONDS
    while not run.exists() or json.loads(run.read_text())["activity"] != "serve":
        assert up.poll() is None, up.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(up.pid, signal.SIGINT)
    up.communicate(timeout=DEADLINE_SECONDS)
    try:
        status = kubevoice(home, "status").stdout
        assert "Interrupted" in status
        assert "the start of the replicas was interrupted; continue with: KUBEVOICE_HOME=" in status
        assert f"kubevoice up -f {home.parent / 'voice.yaml'}" in status
    finally:
        kubevoice(home, "down")


def test_a_start_that_failed_is_reported_with_its_reason(home):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        result = kubevoice(home, "up", "-f", "voice.yaml", "--port", port)
        assert result.returncode == 2
        status = kubevoice(home, "status", "toy", "--port", port).stdout
    assert "Failed" in status
    assert f"ServingFailed: port {port} on 127.0.0.1 is in use by another program" in status
    assert f"try again with: KUBEVOICE_HOME={home} kubevoice up" in status
