"""`kubevoice logs`: the requests that the server on this machine answered."""

import pytest
from kubevoice.resources.status import VoiceModelStatus
from kubevoice_cli import status
from kubevoice_cli.main import app
from kubevoice_operator.local.ray_serve import LocalServing
from kubevoice_operator.local.serve_logs import LogReader
from typer.testing import CliRunner

INGRESS = """:job_id:01000000
:actor_name:ServeReplica:voice:Ingress
INFO 2026-11-29 15:52:07,541 voice_Ingress roh0aee2 b2c7 -- POST /v1/audio/speech 200 67.1ms
ERROR 2026-11-29 15:52:09,100 voice_Ingress roh0aee2 f487 -- request f487 failed
Traceback (most recent call last):
KeyError: 'secret'
INFO 2026-11-29 15:52:09,317 voice_Ingress roh0aee2 ea8a -- GET /v1/voices 200 21.6ms
"""
SYNTHESIZER = """:job_id:01000000
:actor_name:ServeReplica:voice:Synthesizer
INFO 2026-11-29 15:52:08,000 voice_Synthesizer b7cx31qv b2c7 -- CALL stream OK 60.4ms
"""
PROXY = """:job_id:01000000
:actor_name:ProxyActor
INFO 2026-11-29 15:52:07,000 proxy 127.0.0.1 -- Got updated endpoints
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBEVOICE_HOME", str(tmp_path))
    return lambda *words: CliRunner().invoke(app, ["logs", *words], catch_exceptions=True)


@pytest.fixture
def folder(tmp_path):
    folder = LocalServing(tmp_path / "serving", 8000).ray.logs
    folder.mkdir(parents=True)
    for name, text in (("a-1", INGRESS), ("b-2", SYNTHESIZER), ("c-3", PROXY)):
        (folder / f"worker-{name}.err").write_text(text, encoding="utf-8")
    return folder


def test_entries_of_all_replicas_in_the_order_of_time(run, folder):
    result = run()
    assert result.exit_code == 0, result.output
    lines = INGRESS.splitlines()[2:]
    assert result.output.splitlines() == [lines[0], SYNTHESIZER.splitlines()[2], *lines[1:]]


def test_the_last_entries_with_all_their_lines(run, folder):
    assert run("--tail", "2").output.splitlines() == INGRESS.splitlines()[3:]
    assert run("--tail", "0").output == ""


def test_what_is_written_later_is_shown_once(folder):
    reader = LogReader(folder)
    assert len(reader.read()) == 4
    with (folder / "worker-a-1.err").open("a", encoding="utf-8") as file:
        file.write(
            "INFO 2026-11-29 15:53:00,000 voice_Ingress roh0aee2 1 -- GET / 200 1ms\nINFO 2026-11-29 15:53:01,000 v"
        )
    assert [entry.time for entry in reader.read()] == ["2026-11-29 15:53:00,000"]
    assert reader.read() == []


def test_before_anything_was_served_there_is_an_error(run):
    result = run()
    assert result.exit_code != 0
    assert "nothing has been served" in str(result.exception)


@pytest.mark.parametrize("served", [{"toy"}, set()])
def test_status_names_the_command_while_a_voice_is_served(tmp_path, monkeypatch, served):
    monkeypatch.setenv("KUBEVOICE_HOME", str(tmp_path))
    monkeypatch.setattr(status, "_read_local_statuses", lambda *_: ({"toy": VoiceModelStatus()}, served))
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 0
    assert (f"KUBEVOICE_HOME={tmp_path} kubevoice logs" in result.output.replace("\n", "")) is bool(served)
