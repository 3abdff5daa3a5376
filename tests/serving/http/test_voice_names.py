"""Names of voices that clients of other servers send."""

import json

import openai
import pytest
from http_app import serve_app
from websocket_client import open_websocket

ALIASES = {"nova": {"speaker": "second", "emotion": "happy"}, "toy": {"speaker": "second"}}
TEXT = "今天天气真好。"
MISSING = "there is no voice 'nobody'; the default voice is used"


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy, clients={"aliases": ALIASES}) as site:
        yield site


@pytest.fixture(scope="module")
def lenient(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("lenient"), toy, clients={"unknownVoice": "Default"}) as site:
        yield site


def speak(site, **fields):
    status, headers, body = site.call("POST", "/v1/audio/speech", {"input": TEXT, "response_format": "wav"} | fields)
    return status, headers, body


@pytest.mark.parametrize("voice", ["alloy", "shimmer", "Onyx", {"id": "marin"}])
def test_openais_names_mean_the_default_voice(site, voice):
    status, headers, audio = speak(site, voice=voice)
    assert (status, headers["X-Voice"]) == (200, "toy")
    assert "X-Notices" not in headers
    assert audio == speak(site)[2]


def test_openais_client_uses_an_alias(site):
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key="none", max_retries=0) as client:
        fields = {"model": "tts-1", "input": TEXT, "response_format": "pcm"}
        alias = client.audio.speech.create(**fields, voice="nova").content
        named = {"speaker": "second", "emotion": "happy"}
        assert alias == client.audio.speech.create(**fields, voice="toy", extra_body=named).content
        assert alias != client.audio.speech.create(**fields, voice="alloy").content


def test_what_the_request_names_takes_precedence(site):
    assert speak(site, voice="nova", speaker="first", emotion="neutral")[2] == speak(site)[2]


def test_a_voice_takes_precedence_over_an_alias_of_its_name(site):
    assert speak(site, voice="toy")[2] == speak(site)[2]


def test_aliases_are_listed(site):
    voices = json.loads(site.call("GET", "/v1/audio/voices")[2])["voices"]
    assert [voice["id"] for voice in voices] == ["toy", "nova"]


def test_an_unknown_voice_is_refused_with_the_names_there_are(site):
    status, _, body = speak(site, voice="nobody")
    error = json.loads(body)["error"]
    assert (status, error["param"], error["code"]) == (404, "voice", "unknown_voice")
    assert "there are: toy" in error["message"]


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
def test_the_default_voice_can_replace_an_unknown_one_with_a_notice(lenient, fields):
    status, headers, _ = speak(lenient, voice="nobody", **fields)
    assert (status, headers["X-Voice"]) == (200, "toy")
    assert [notice["message"] for notice in json.loads(headers["X-Notices"])] == [MISSING]


def test_other_routes_know_the_names(site, lenient):
    assert site.call("POST", "/v1/text/analyze", {"text": TEXT, "voice": "alloy"})[0] == 200
    assert site.call("POST", "/v1/audio/subtitles", {"input": TEXT, "voice": "alloy"})[0] == 200
    with open_websocket(lenient.url) as connection:
        connection.send("start", voice="nobody")
        connection.send("text", text=TEXT)
        connection.send("end")
        assert connection.receive_until_closed() == (1000, "")
    (started,) = connection.events_of("speech.started")
    assert (started["voice"], [notice["message"] for notice in started["notices"]]) == ("toy", [MISSING])
