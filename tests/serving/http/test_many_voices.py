"""Voices that are loaded on demand, over HTTP: listed with their state, refused alone, and counted."""

import json
import re

import pytest
from http_app import serve_app
from toy_voice import make_toy_voice


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    folder = tmp_path_factory.mktemp("many")
    anna = make_toy_voice(folder / "anna", "anna", own_graphs=True)
    voices = [{"name": f"voice-{number}", "revision": toy.digest, "uri": str(toy.path)} for number in range(20)]
    voices.append({"name": "anna", "revision": anna.digest, "uri": str(anna.path)})
    voices.append({"name": "lost", "revision": f"sha256:{'0' * 64}", "uri": str(folder / "nowhere")})
    config = {"voices": voices, "residency": {"memoryMegabytes": 64, "idleSeconds": 3600}}
    with serve_app(folder, toy, voices=config) as server:
        yield server


def speak(site, voice, **options):
    body = {"input": "你好。", "voice": voice, "response_format": "wav"} | options
    status, headers, data = site.call("POST", "/v1/audio/speech", body)
    return status, headers, data


def test_all_voices_are_listed_and_only_those_that_were_asked_for_are_loaded(site):
    assert speak(site, "anna")[0] == 200
    voices = {voice["name"]: voice for voice in json.loads(site.call("GET", "/v1/voices")[2])["voices"]}
    assert len(voices) == 22
    assert voices["anna"]["state"] == "loaded"
    assert voices["anna"]["speakers"] == ["first", "second"]
    models = {model["id"]: model["state"] for model in json.loads(site.call("GET", "/v1/models")[2])["data"]}
    assert models == {name: voice["state"] for name, voice in voices.items()}
    (replica,) = json.loads(site.call("GET", "/v1/revisions")[2])["replicas"]
    assert "anna" in replica["resident"]["voices"]


def test_an_unknown_voice_is_404_with_near_names(site):
    status, _, data = speak(site, "ana")
    error = json.loads(data)["error"]
    assert (status, error["code"], error["param"]) == (404, "unknown_voice", "voice")
    assert "anna" in error["message"]
    assert "all 22" in error["message"]
    assert speak(site, "ana", stream_format="sse", response_format="pcm")[0] == 404


def test_a_voice_that_cannot_be_loaded_is_503_and_the_others_are_served(site):
    for options in ({}, {"stream_format": "sse", "response_format": "pcm"}):
        status, headers, data = speak(site, "lost", **options)
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert "voice lost cannot be loaded" in json.loads(data)["error"]["message"]
    assert speak(site, "voice-3")[0] == 200


def test_loads_and_memory_are_counted_by_voice(site):
    assert speak(site, "anna")[0] == 200
    assert speak(site, "lost")[0] == 503
    text = site.call("GET", "/metrics")[2].decode()
    assert 'kubevoice_voice_loads_total{replica="local",voice="anna"} 1.0' in text
    assert re.search(r'^kubevoice_voice_load_seconds_total{replica="local",voice="anna"} 0\.\d+', text, re.MULTILINE)
    assert 'kubevoice_voice_failed{replica="local",voice="lost"} 1.0' in text
    used, budget = (
        float(re.search(rf'^kubevoice_resident_{name}{{replica="local"}} (\S+)$', text, re.MULTILINE)[1])
        for name in ("bytes", "budget_bytes")
    )
    assert 0 < used < budget == 64 << 20
