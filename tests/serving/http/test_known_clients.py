"""Requests as known clients send them: fields of OpenAI and of other servers, and nulls."""

import io
import json
import zipfile

import openai
import pytest
from http_app import serve_app
from websocket_client import open_websocket

TEXT = "今天天气真好。"


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


@pytest.fixture(scope="module")
def client(site):
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def read_notices(headers):
    return [notice["message"] for notice in json.loads(headers.get("X-Notices", "[]"))]


RECORDED = {
    "Open WebUI": {"model": "tts-1", "input": TEXT, "voice": "toy"},
    "SillyTavern": {"response_format": "mp3", "input": TEXT, "voice": "toy", "speed": 1},
    "Dify": {"model": "tts-1", "voice": "toy", "input": TEXT, "response_format": "mp3"},
    "LobeChat": {"input": TEXT, "model": "gpt-4o-mini-tts", "voice": "toy", "instructions": ""},
    "xiaozhi-esp32-server": {"model": "tts-1", "input": TEXT, "voice": "toy", "response_format": "wav", "speed": 1.0},
    "LiteLLM": {"model": "tts-1", "input": TEXT, "voice": "toy", "instructions": None, "user": "u1", "speed": None},
    "Kokoro-FastAPI": {
        "model": "kokoro",
        "input": TEXT,
        "voice": "toy",
        "response_format": "mp3",
        "download_format": None,
        "speed": 1.0,
        "stream": True,
        "return_download_link": False,
        "lang_code": "z",
        "volume_multiplier": 1.0,
        "normalization_options": {"normalize": True},
    },
    "vLLM-Omni": {"input": TEXT, "voice": "toy", "task_type": "CustomVoice", "language": "Chinese", "instructions": ""},
    "speaches": {"model": "kokoro", "input": TEXT, "voice": "toy", "response_format": "wav", "sample_rate": 24000},
    "LocalAI": {"model": "kokoro", "backend": "kokoro", "input": TEXT, "language": "zh"},
    "SiliconFlow": {"model": "cosyvoice", "input": TEXT, "voice": "toy", "sample_rate": 32000, "gain": 0.0},
}


@pytest.mark.parametrize("name", RECORDED)
def test_requests_of_known_clients_are_answered(site, name):
    status, headers, audio = site.call("POST", "/v1/audio/speech", RECORDED[name])
    assert (status, bool(audio)) == (200, True), audio
    sent = {key for key, value in RECORDED[name].items() if value is not None}
    ignored = sent - {"model", "input", "voice", "response_format", "speed", "stream", "instructions"}
    assert read_notices(headers) == [f"the field `{key}` has no effect" for key in RECORDED[name] if key in ignored]


def test_open_webui_finds_voices_and_models(site):
    _, _, body = site.call("GET", "/v1/audio/voices")
    (voice,) = json.loads(body)["voices"]
    assert (voice["id"], voice["name"], voice["emotions"]) == ("toy", "toy", ["neutral", "happy"])
    _, _, body = site.call("GET", "/v1/audio/models")
    assert json.loads(body) == {"models": [{"id": "toy", "name": "toy"}]}


def test_openais_client_finds_models(client):
    assert [model.id for model in client.models.list()] == ["toy"]
    assert client.models.retrieve("toy").id == "toy"
    with pytest.raises(openai.NotFoundError, match="there are: toy"):
        client.models.retrieve("tts-1")


def test_null_is_as_omitted(site, toy):
    fields = ("model", "voice", "speed", "emotion", "intensity", "speaker", "pitch", "volume", "lexicon", "ssml")
    more = ("loudness", "response_format", "stream_format", "timestamps", "stream", "instructions")
    body = {"input": TEXT} | dict.fromkeys(fields + more)
    status, headers, _ = site.call("POST", "/v1/audio/speech", body)
    assert (status, headers["Content-Type"], headers["X-Voice"]) == (200, "audio/mpeg", "toy")
    assert read_notices(headers) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tts", {"text": TEXT} | dict.fromkeys(("emotion", "speaker_id", "speed", "volume"))),
        ("/v1/text/analyze", {"text": TEXT} | dict.fromkeys(("voice", "ssml", "lexicon", "hints", "keep_code"))),
    ],
)
def test_null_is_as_omitted_on_other_routes(site, path, body):
    assert site.call("POST", path, body)[0] == 200


def test_a_field_that_nobody_knows_is_still_refused(site):
    status, _, body = site.call("POST", "/v1/audio/speech", {"input": TEXT, "emotoin": "happy"})
    assert (status, json.loads(body)["error"]["param"]) == (422, "emotoin")


def test_openais_client_sends_instructions(client, toy):
    fields = {"model": "gpt-4o-mini-tts", "voice": "toy", "input": TEXT, "response_format": "pcm"}
    spoken = client.audio.speech.create(**fields, instructions="Sound very happy.").content
    expected = client.audio.speech.create(**fields, extra_body={"emotion": "happy", "intensity": 1.5}).content
    assert spoken == expected != client.audio.speech.create(**fields).content


def test_what_instructions_changed_is_said(site):
    _, headers, _ = site.call("POST", "/v1/audio/speech", {"input": TEXT, "instructions": "用开心的语气，慢一点"})
    assert read_notices(headers) == ["of `instructions` only this is obeyed: emotion happy, speed 0.8"]


def test_times_follow_instructions(site):
    body = {"input": TEXT, "instructions": "slowly", "user": "u1"}
    _, headers, slow = site.call("POST", "/v1/audio/subtitles", body)
    _, _, normal = site.call("POST", "/v1/audio/subtitles", {"input": TEXT})
    assert json.loads(slow)["duration"] > json.loads(normal)["duration"]
    assert read_notices(headers) == ["the field `user` has no effect"]


def test_a_batch_has_the_notices_of_each_item(site):
    items = [{"input": TEXT, "user": "u1", "speed": None}, {"input": TEXT}]
    _, _, body = site.call("POST", "/v1/audio/speech/batch", {"items": items})
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        first, second = json.loads(archive.read("manifest.json"))["items"]
    assert [notice["message"] for notice in first["notices"]] == ["the field `user` has no effect"]
    assert second["notices"] == []


def test_a_websocket_has_notices_in_its_first_event(site):
    with open_websocket(site.url) as connection:
        connection.send("start", instructions="happy", seed=3, speed=None)
        connection.send("text", text=TEXT)
        connection.send("end")
        connection.receive_until_closed()
        (started,) = connection.events_of("speech.started")
    messages = [notice["message"] for notice in started["notices"]]
    assert messages == ["the field `seed` has no effect", "of `instructions` only this is obeyed: emotion happy"]
