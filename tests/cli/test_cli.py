"""The command line as a process: exit codes, one-line errors and complete files."""

import csv
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile as sf

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("only_ray")]

ROOT = Path(__file__).resolve().parents[2]
VOICEMODEL = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: mei}
spec:
  base: {uri: builtin://base}
  dataset: {uri: data/}
"""


@pytest.fixture
def kubevoice(tmp_path):
    """Run the command with a state folder of its own."""

    def run(*words, text=None):
        command = [sys.executable, "-c", "from kubevoice_cli.main import run; run()", *map(str, words)]
        env = os.environ | {"KUBEVOICE_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
        return subprocess.run(
            command, cwd=tmp_path, env=env, input=text, capture_output=True, text=True, timeout=120, check=False
        )

    return run


def test_crd_writes_what_is_committed(kubevoice, tmp_path):
    result = kubevoice("crd", "-o", "crds")
    assert result.returncode == 0, result.stderr
    written, committed = (
        {f.name: f.read_text("utf-8") for f in (path / "crds").iterdir()} for path in (tmp_path, ROOT)
    )
    assert written == committed


@pytest.mark.parametrize("kind", ["srt", "vtt", "json"])
def test_say_writes_when_words_are_heard(kubevoice, tmp_path, kind):
    result = kubevoice("say", "你好。再见。", "-o", "hello.wav", "--subtitles", f"hello.{kind}")
    assert result.returncode == 0, result.stderr
    written = (tmp_path / f"hello.{kind}").read_text(encoding="utf-8")
    if kind == "json":
        assert json.loads(written)["duration"] == pytest.approx(sf.info(tmp_path / "hello.wav").duration, abs=1e-3)
    else:
        assert "\n你好。\n" in written
        assert "\n再见。\n" in written


def test_say_writes_a_sound_of_the_right_kind(kubevoice, tmp_path):
    result = kubevoice("say", "你好。", "-o", "hello.wav", "--emotion", "happy", "--speed", "1.2")
    assert result.returncode == 0, result.stderr
    audio, rate = sf.read(tmp_path / "hello.wav")
    assert rate == 24_000
    assert 0.3 < len(audio) / rate < 4
    assert abs(audio).max() > 0.02


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("say", "你好", "-o", "x.doc"), "the name must end with"),
        (("say", "你好", "--subtitles", "x.ass"), "the name must end with .srt, .vtt, .json"),
        (("say", "……", "-o", "x.wav"), "nothing that can be spoken"),
        (("say", "你好", "--emotion", "joy"), "joy"),
        (("say", "你好", "--voice", "nowhere"), "nowhere"),
        (("up", "-f", "nowhere.yaml"), "nowhere.yaml"),
        (("dataset", "check", "nowhere"), "has no metadata.csv"),
        (("voice", "export", "nowhere"), "nowhere is not a voice bundle"),
        (("voice", "import-vocoder", "nowhere", "builtin://base", "x"), "cannot read the folder nowhere"),
        (("voice", "evaluate", "builtin://base", "--sentences", "nowhere.txt"), "cannot read nowhere.txt"),
        (("voice", "evaluate", "builtin://base", "--speaker", "nobody"), "has no speaker 'nobody'"),
        (("status", "mei"), "there is no VoiceModel 'mei' here"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(kubevoice, tmp_path, words, complaint):
    result = kubevoice(*words)
    assert result.returncode == 2, result.stderr
    assert complaint in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("x.*"))


def test_a_voice_is_measured_with_the_sentences_of_a_file(kubevoice, tmp_path):
    (tmp_path / "sentences.txt").write_text("今天天气不错。\n\n", encoding="utf-8")
    words = ("voice", "evaluate", "builtin://base", "--sentences", "sentences.txt", "--speaker", "zf_xiaoxiao")
    result = kubevoice(*words, "--json")
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)["speakers"]
    assert row["speaker"] == "zf_xiaoxiao"
    assert 1.0 < row["naturalness"] < 5.0
    assert row["pinyinErrorRate"] <= row["pinyinErrorRateWithTones"]
    assert row["seconds"] > 1.0


def test_a_bad_dataset_stops_up_with_every_row_named_each_time(kubevoice, tmp_path):
    (tmp_path / "voice.yaml").write_text(VOICEMODEL)
    data = tmp_path / "data"
    data.mkdir()
    (data / "metadata.csv").write_text("id,text,emotion,wav_path\na,你好,neutral,a.wav\nb,再见,neutral,../b.wav\n")
    result = kubevoice("up", "-f", "voice.yaml")
    assert result.returncode == 2
    assert "row 1 (id a)" in result.stderr
    assert "row 2 (id b)" in result.stderr
    again = kubevoice("up", "-f", "voice.yaml")
    assert (again.returncode, "row 1 (id a)" in again.stderr) == (2, True)


def test_dataset_check_measures_names_every_fault_and_writes_a_page(kubevoice, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    sf.write(data / "a.wav", [0.1, -0.1] * 6000, 24_000)
    rows = "id,text,emotion,wav_path\na,你好,neutral,a.wav\n"
    (data / "metadata.csv").write_text(rows, encoding="utf-8")
    result = kubevoice("dataset", "check", data.as_uri(), "--html", "page.html", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["groups"][0]["emotion"] == "neutral"
    assert "can be trained on" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (data / "metadata.csv").write_text(rows + "b,abc,neutral,../b.wav\n", encoding="utf-8")
    result = kubevoice("dataset", "check", "data")
    assert (result.returncode, result.stderr.count("row 2 (id b)")) == (2, 2)
    assert "advice: neutral of default has 0.0 minutes" in result.stderr
    assert "neutral  default  1" in result.stdout


def test_dataset_check_takes_the_map_of_a_voicemodel_and_of_its_own(kubevoice, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    sf.write(data / "a.wav", [0.1, -0.1] * 6000, 24_000)
    rows = "id,text,emotion,wav_path\na,你好,开心,a.wav\nb,你好,甲,a.wav\nc,你好,type 2,a.wav\n"
    (data / "metadata.csv").write_text(rows, encoding="utf-8")
    result = kubevoice("dataset", "check", "data")
    assert (result.returncode, "(id c): emotion 'type 2' is not a label" in result.stderr) == (2, True)
    (tmp_path / "voice.yaml").write_text(
        VOICEMODEL.replace("uri: data/}", "uri: data/, emotions: {甲: happy, type 2: sad}}"), encoding="utf-8"
    )
    result = kubevoice("dataset", "check", "voice.yaml", "--html", "page.html")
    assert result.returncode == 0, result.stderr
    assert "labels: type 2 → sad, 开心 → happy, 甲 → happy" in result.stdout
    assert "甲 → happy" in (tmp_path / "page.html").read_text(encoding="utf-8")
    result = kubevoice("dataset", "check", "data", "--map", "甲=悲伤", "--map", "type 2=calm", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["labels"] == {"开心": "happy", "甲": "sad", "type 2": "calm"}
    result = kubevoice("dataset", "check", "data", "--map", "甲")
    assert (result.returncode, "is not LABEL=EMOTION" in result.stderr) == (2, True)


def test_up_recovers_from_a_missing_file_and_goes_on_after_ctrl_c(kubevoice, tmp_path):
    rows = (ROOT / "examples" / "hsk-words" / "metadata.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "metadata.csv").write_text("".join(rows[:13]), encoding="utf-8")
    for row in csv.DictReader(rows[:13]):
        (tmp_path / "data" / row["wav_path"]).parent.mkdir(exist_ok=True)
        os.link(ROOT / "examples" / "hsk-words" / row["wav_path"], tmp_path / "data" / row["wav_path"])
    training = "  training: {maxSteps: 100000, batchSize: 4, saveEvery: 2, devFraction: 0}\n"
    (tmp_path / "voice.yaml").write_text(VOICEMODEL + training)
    missing = tmp_path / "data" / row["wav_path"]
    missing.rename(tmp_path / "aside")
    assert (result := kubevoice("up", "-f", "voice.yaml")).returncode == 2
    assert f"(id {row['id']})" in result.stderr
    (tmp_path / "aside").rename(missing)

    def newest_step():
        paths = list((tmp_path / "home" / "artifacts").glob("default/mei/train/*/steps/latest.json"))
        return json.loads(paths[0].read_text())["step"] if paths else 0

    for _ in range(2):
        begun = newest_step()
        up = subprocess.Popen(
            [sys.executable, "-c", "from kubevoice_cli.main import run; run()", "up", "-f", "voice.yaml"],
            cwd=tmp_path,
            env=os.environ | {"KUBEVOICE_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + 300
        while newest_step() < begun + 4:
            assert up.poll() is None, up.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "train is running: step" in kubevoice("status", "mei").stdout
        os.killpg(up.pid, signal.SIGINT)  # as a terminal does
        _, errors = up.communicate(timeout=120)
        assert up.returncode == 130
        assert "Traceback" not in errors
        with pytest.raises(ProcessLookupError):
            os.killpg(up.pid, 0)
        status = kubevoice("status").stdout
        assert "Interrupted" in status
        assert f"train was interrupted at step {newest_step()} of 100000" in status
        home = tmp_path / "home"
        assert f"with: KUBEVOICE_HOME={home} kubevoice up -f {tmp_path / 'voice.yaml'}" in status
    (log,) = (tmp_path / "home" / "jobs").glob("*-train-*/log")
    assert f"continuing at step {begun} of 100000" in log.read_text()


def test_text_shows_the_reading(kubevoice):
    result = kubevoice("text", text="银行行长\n")
    assert result.returncode == 0, result.stderr
    assert [(s["offset"], s["pinyin"]) for s in json.loads(result.stdout)["pinyin"]] == [
        (0, "yin2"),
        (1, "hang2"),
        (2, "hang2"),
        (3, "zhang3"),
    ]


def test_text_takes_a_lexicon(kubevoice, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("重庆\tzhong4 qing4\n", encoding="utf-8")
    result = kubevoice("text", "--lexicon", str(own), text="重庆\n")
    assert [s["pinyin"] for s in json.loads(result.stdout)["pinyin"]] == ["zhong4", "qing4"]
    own.write_text("重庆 zhong4\n", encoding="utf-8")
    result = kubevoice("text", "--lexicon", str(own), text="重庆\n")
    assert result.returncode == 2
    assert "own.txt line 1: there is no tab" in result.stderr


def test_a_document_is_checked(kubevoice, tmp_path):
    path = tmp_path / "letter.xml"
    path.write_text('<speak>你好<break time="1s"/><blink>再见</blink></speak>', encoding="utf-8")
    result = kubevoice("ssml", "check", str(path), "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert [span["kind"] for span in answer["spans"]] == ["speech", "break", "speech"]
    assert [(notice["line"], notice["column"]) for notice in answer["notices"]] == [(1, 28)]
    spoken = tmp_path / "letter.wav"
    result = kubevoice("say", "--ssml", path.read_text(encoding="utf-8"), "-o", str(spoken))
    assert (result.returncode, spoken.exists()) == (0, True)
    assert "line 1, column 28: <blink> is unknown" in result.stderr
    path.write_text("<speak>你好", encoding="utf-8")
    result = kubevoice("ssml", "check", str(path))
    assert result.returncode == 2
    assert "SSML line 1, column 10" in result.stderr


def test_a_voice_is_measured(kubevoice):
    result = kubevoice("bench", "--requests", "3", "--listeners", "2", "--text", "你好。", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["requests"], answer["errors"]) == (3, 0)
    assert 0 < answer["first_audio_ms_p50"] <= answer["total_ms_p50"]
    assert answer["audio_seconds"] > 1
    result = kubevoice("bench", "--url", "http://127.0.0.1:9", "--requests", "2")
    assert result.returncode == 1
    assert "does not answer" in result.stdout + result.stderr


def test_down_with_nothing_running_is_fine_and_says_where_it_looked(kubevoice, tmp_path):
    result = kubevoice("down")
    assert (result.returncode, result.stderr.strip()) == (0, f"nothing was running from {tmp_path / 'home'}")


def test_what_up_says_to_type_finds_the_state_of_up(tmp_path, monkeypatch):
    from kubevoice_cli.up import with_home

    monkeypatch.delenv("KUBEVOICE_HOME", raising=False)
    assert with_home("kubevoice down") == "kubevoice down"
    monkeypatch.setenv("KUBEVOICE_HOME", str(tmp_path / "my home"))
    assert with_home("kubevoice down") == f"KUBEVOICE_HOME='{tmp_path / 'my home'}' kubevoice down"


def test_a_port_in_use_is_distinguished_from_a_free_one():
    from kubevoice_operator.local.ray import port_is_free

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not port_is_free(port)
    assert port_is_free(port)


def test_key_prints_a_line_for_the_file_and_the_key_apart(kubevoice):
    result = kubevoice("key", "mei")
    assert result.returncode == 0, result.stderr
    key = re.search(r"kv-[\w-]{43}", result.stderr)[0]
    assert result.stdout == f"mei sha256:{hashlib.sha256(key.encode()).hexdigest()}\n"
    assert kubevoice("key", "no name").returncode == 2
