"""`kubevoice rollback` and `status` on a real API server with an operator."""

import os
import subprocess
import sys

import operators
import pytest
from kubelet import REVISION, Voices, build_ended_status, build_result_message

pytestmark = pytest.mark.xdist_group("control_plane")

NEWER = "sha256:" + "2" * 64


@pytest.fixture(scope="module")
def voices(control_plane, rest):
    return Voices(rest, control_plane.namespace("rollback"))


@pytest.fixture(scope="module", autouse=True)
def operator(rest, control_plane, tmp_path_factory):
    with operators.deployed_operator(control_plane, tmp_path_factory.mktemp("operator")) as process:
        yield process


@pytest.fixture
def kubevoice(control_plane, voices):
    def run(*arguments, namespace=voices.namespace):
        command = [sys.executable, "-c", "from kubevoice_cli.main import run; run()", *arguments, "-n", namespace]
        env = os.environ | {"KUBECONFIG": str(control_plane.kubeconfig), "COLUMNS": "200"}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_rollback_to_an_older_revision_and_undo(voices, kubevoice):
    voices.make("mei")
    voices.run("mei")
    voices.wait("the first revision", lambda: read_states(voices) == {REVISION: "Serving"})
    result = kubevoice("rollback", "mei")
    assert (result.returncode, "no revision is older than the one that serves" in result.stderr) == (2, True), (
        result.stderr
    )
    old = voices.job("mei", "release")["metadata"]["name"]
    voices.edit("mei", {"evaluation": {"maxPinyinErrorRate": 0.2}})
    finish_new_release(voices, old)
    voices.wait("the second", lambda: read_states(voices) == {NEWER: "Serving", REVISION: "Superseded"})

    result = kubevoice("rollback", "mei")
    assert result.returncode == 0, result.stderr
    assert f"mei is pinned to revision {'1' * 12} in namespace rollback" in result.stderr
    assert "kubevoice rollback mei --undo -n rollback" in result.stderr
    assert voices.get("mei")["spec"]["revision"] == REVISION
    voices.wait("the operator to follow", lambda: read_states(voices) == {NEWER: "Superseded", REVISION: "Serving"})
    assert voices.status("mei")["serving"]["targetRevision"] == REVISION
    shown = kubevoice("status", "mei").stdout
    assert f"{'1' * 12}  Serving" in shown
    assert f"{'2' * 12}  Superseded" in shown
    assert "not ready: KubeRayNotInstalled" in shown or "not ready: RollingOut" in shown

    assert kubevoice("rollback", "mei", "--undo").returncode == 0
    assert "revision" not in voices.get("mei")["spec"]
    voices.wait("the newest again", lambda: read_states(voices) == {NEWER: "Serving", REVISION: "Superseded"})
    assert kubevoice("rollback", "mei", "11111").returncode == 0
    assert voices.get("mei")["spec"]["revision"] == REVISION


def test_an_unknown_name_or_digest_is_an_error(voices, kubevoice):
    result = kubevoice("rollback", "may")
    assert (result.returncode, "there are: mei" in result.stderr) == (2, True), result.stderr
    result = kubevoice("rollback", "mei", "fff")
    assert (result.returncode, f"{'2' * 12} (" in result.stderr) == (2, True), result.stderr
    result = kubevoice("status", namespace="nowhere")
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 1)


def finish_new_release(voices, old):
    """Report the success of the release Job that replaced `old`."""
    newer = lambda: [job for name, job in voices.jobs("mei", "release").items() if name != old]  # noqa: E731
    voices.wait("another release", newer)
    voices.wait("its pod", lambda: voices.pods(newer()[0]))
    pod = voices.pods(newer()[0])[0]["metadata"]["name"]
    voices.rest.patch(
        "pods",
        voices.namespace,
        pod,
        {"status": build_ended_status(0, build_result_message("release", NEWER))},
        "status",
    )


def read_states(voices):
    return {r["digest"]: r["state"] for r in voices.status("mei").get("revisions", ())}
