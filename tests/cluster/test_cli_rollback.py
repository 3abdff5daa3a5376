"""`kubevoice rollback` and `status` on a real API server with an operator."""

import os
import subprocess
import sys

import operators
import pytest
from kubelet import REVISION, Voices, answer, build_ended_status

pytestmark = pytest.mark.xdist_group("control_plane")

NEWER = "sha256:" + "2" * 64


@pytest.fixture(scope="module")
def voices(control_plane, rest):
    return Voices(rest, control_plane.namespace("rollback"))


@pytest.fixture(scope="module", autouse=True)
def operator(rest, control_plane, tmp_path_factory):
    with operators.operator(control_plane, tmp_path_factory.mktemp("operator")) as running:
        yield running


@pytest.fixture
def kubevoice(control_plane, voices):
    def run(*words, namespace=voices.namespace):
        command = [sys.executable, "-c", "from kubevoice_cli.main import run; run()", *words, "-n", namespace]
        env = os.environ | {"KUBECONFIG": str(control_plane.kubeconfig), "COLUMNS": "200"}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_back_to_the_revision_before_and_on_again(voices, kubevoice):
    voices.make("mei")
    voices.run("mei")
    voices.wait("the first revision", lambda: states(voices) == {REVISION: "Serving"})
    result = kubevoice("rollback", "mei")
    assert (result.returncode, "no revision is older than the one that serves" in result.stderr) == (2, True), (
        result.stderr
    )
    old = voices.job("mei", "release")["metadata"]["name"]
    voices.edit("mei", {"evaluation": {"maxPinyinErrorRate": 0.2}})
    release_anew(voices, old)
    voices.wait("the second", lambda: states(voices) == {NEWER: "Serving", REVISION: "Superseded"})

    result = kubevoice("rollback", "mei")
    assert result.returncode == 0, result.stderr
    assert f"mei is pinned to revision {'1' * 12} in namespace rollback" in result.stderr
    assert "kubevoice rollback mei --undo -n rollback" in result.stderr
    assert voices.get("mei")["spec"]["revision"] == REVISION
    voices.wait("the operator to follow", lambda: states(voices) == {NEWER: "Superseded", REVISION: "Serving"})
    assert voices.status("mei")["serving"]["targetRevision"] == REVISION
    shown = kubevoice("status", "mei").stdout
    assert f"{'1' * 12}  Serving" in shown
    assert f"{'2' * 12}  Superseded" in shown
    assert "not ready: KubeRayNotInstalled" in shown or "not ready: RollingOut" in shown

    assert kubevoice("rollback", "mei", "--undo").returncode == 0
    assert "revision" not in voices.get("mei")["spec"]
    voices.wait("the newest again", lambda: states(voices) == {NEWER: "Serving", REVISION: "Superseded"})
    assert kubevoice("rollback", "mei", "11111").returncode == 0
    assert voices.get("mei")["spec"]["revision"] == REVISION


def test_a_name_or_a_digest_that_is_not_there(voices, kubevoice):
    result = kubevoice("rollback", "may")
    assert (result.returncode, "there are: mei" in result.stderr) == (2, True), result.stderr
    result = kubevoice("rollback", "mei", "fff")
    assert (result.returncode, f"{'2' * 12} (" in result.stderr) == (2, True), result.stderr
    result = kubevoice("status", namespace="nowhere")
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 1)


def release_anew(voices, old):
    """Report that the release after an `old` one succeeded; the old one must stay until then."""
    newer = lambda: [job for name, job in voices.jobs("mei", "release").items() if name != old]  # noqa: E731
    voices.wait("another release", newer)
    voices.wait("its pod", lambda: voices.pods(newer()[0]))
    pod = voices.pods(newer()[0])[0]["metadata"]["name"]
    voices.rest.patch(
        "pods", voices.namespace, pod, {"status": build_ended_status(0, answer("release", NEWER))}, "status"
    )


def states(voices):
    return {r["digest"]: r["state"] for r in voices.status("mei").get("revisions", ())}
