"""`kubevoice up` of several VoiceModels: one Ray serves them all."""

import json
import os
import subprocess
import sys

import pytest
from kubevoice_cli.client import fetch_speech, fetch_voices
from local_voice import free_port

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("only_ray")]

MANIFESTS = """
apiVersion: v1
kind: Secret
metadata: {name: s3}
---
apiVersion: kubevoice.io/v1alpha1
kind: VoicePool
metadata: {name: shared}
spec:
  defaultVoice: lei
  serving: {maxReplicas: 1}
---
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: mei}
spec:
  base: {uri: BASE}
  serving: {poolRef: {name: shared}}
---
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: lei}
spec: {base: {uri: builtin://base}}
"""
BROKEN = """
---
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: lost}
spec: {base: {uri: nowhere/}}
"""


class Machine:
    """A state folder, and the command with it."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def run(self, *words):
        command = [sys.executable, "-c", "from kubevoice_cli.main import run; run()", *words]
        environment = os.environ | {"KUBEVOICE_HOME": str(self.folder / "home"), "COLUMNS": "200"}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def up(self, base="builtin://base", more=""):
        (self.folder / "voices.yaml").write_text(MANIFESTS.replace("BASE", base) + more, encoding="utf-8")
        return self.run("up", "-f", "voices.yaml", "--port", str(self.port))

    def read_status(self):
        result = self.run("status", "--json", "--port", str(self.port))
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def list_voices(self):
        return {voice["name"]: (voice["revision"], voice["default"]) for voice in fetch_voices(self.url)}


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    machine = Machine(tmp_path_factory.mktemp("up"))
    yield machine
    machine.run("down", "--port", str(machine.port))


def test_several_voices_are_served_and_one_that_fails_is_named(machine):
    result = machine.up(more=BROKEN)
    assert result.returncode == 2, result.stderr
    assert "1 of 3 voices cannot be served\n  lost: " in result.stderr
    assert "nowhere" in result.stderr
    assert "Secret s3 has no effect on this machine" in result.stderr
    assert "Voices mei, lei are served" in result.stderr
    voices, statuses = machine.list_voices(), machine.read_status()
    assert {name: default for name, (_, default) in voices.items()} == {"lei": True, "mei": False}
    assert {name: statuses[name]["phase"] for name in ("mei", "lei", "lost")} == {
        "mei": "Ready",
        "lei": "Ready",
        "lost": "Failed",
    }
    for name, (revision, _) in voices.items():
        assert statuses[name]["serving"]["revision"] == revision
        assert fetch_speech(machine.url, {"input": "你好。", "voice": name, "response_format": "wav"}).startswith(
            b"RIFF"
        )


def test_a_changed_voice_is_swapped_and_rolled_back_while_the_others_stay(machine, toy):
    before, head = machine.list_voices(), (machine.folder / "home" / "serving" / "ray.json").read_bytes()
    result = machine.up(str(toy.path))
    assert result.returncode == 0, result.stderr
    after = machine.list_voices()
    assert after["lei"] == before["lei"]
    assert after["mei"] != before["mei"]
    result = machine.run("rollback", "mei", "--port", str(machine.port))
    assert result.returncode == 0, result.stderr
    assert machine.list_voices() == before
    assert (machine.folder / "home" / "serving" / "ray.json").read_bytes() == head
