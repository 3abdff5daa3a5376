"""Text in which nothing can be spoken: a queue of fragments goes on."""

import io
import json
import zipfile

import numpy as np
import pytest
import soundfile
from http_app import serve_app
from websocket_client import open_websocket

TEXTS = ["---", "**", "😀", "……", "。", "!!!", " ", "\n\t\u3000", "\0", "\u200b", "\ufeff", "\U0010ffff"]
DOCUMENT = "<speak>。<break time='1s'/></speak>"
NOTICE = "nothing in the text can be spoken; this is a silence"


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


@pytest.fixture(scope="module")
def site_without_silence(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("strict"), toy, clients={"silentText": "NoContent"}) as site:
        yield site


def read_audio(body):
    samples, rate = soundfile.read(io.BytesIO(body))
    return samples, len(samples) / rate


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_the_answer_is_a_short_silence(site, toy, text, stream):
    fields = {"input": text, "response_format": "pcm", "stream": stream}
    status, headers, body = site.call("POST", "/v1/audio/speech", fields)
    assert status == 200
    assert body == bytes(2 * round(0.2 * toy.manifest.sample_rate))
    assert [notice["message"] for notice in json.loads(headers["X-Notices"])] == [NOTICE]


@pytest.mark.parametrize("fields", [{"response_format": "mp3"}, {"response_format": "wav"}, {"loudness": -16}])
def test_it_is_a_file_in_each_format(site, fields):
    status, _, body = site.call("POST", "/v1/audio/speech", {"input": "。"} | fields)
    samples, seconds = read_audio(body)
    assert status == 200
    assert not np.any(samples)
    assert 0.1 < seconds < 0.5


def test_an_ssml_document_without_words_is_a_silence(site):
    status, _, body = site.call("POST", "/v1/audio/speech", {"input": DOCUMENT, "ssml": True})
    assert (status, bool(body)) == (200, True)


def test_times_of_a_silence(site):
    _, _, body = site.call("POST", "/v1/audio/subtitles", {"input": "。"})
    assert json.loads(body) == {"duration": 0.2, "sentences": [], "bookmarks": []}
    assert site.call("POST", "/v1/audio/subtitles", {"input": "。", "format": "srt"})[0] == 200


def test_the_legacy_api_keeps_a_silence(site):
    status, _, body = site.call("POST", "/api/tts", {"text": "。"})
    assert status == 200
    assert not np.any(read_audio(site.call("GET", json.loads(body)["audio_url"])[2])[0])


@pytest.mark.parametrize("fields", [{"stream": False}, {"stream": True}, {"stream_format": "sse"}])
def test_the_answer_is_204_if_the_service_is_set_so(site_without_silence, fields):
    status, _, body = site_without_silence.call("POST", "/v1/audio/speech", {"input": "😀"} | fields)
    assert (status, body) == (204, b"")
    assert site_without_silence.call("POST", "/v1/audio/speech", {"input": "你好。"} | fields)[0] == 200
    assert site_without_silence.call("POST", "/v1/audio/subtitles", {"input": "😀"})[0] == 204


@pytest.mark.parametrize(("name", "status"), [("site", 200), ("site_without_silence", 204)])
def test_a_batch_goes_on(request, name, status):
    items = [{"input": "。", "response_format": "wav"}, {"input": "你好。", "response_format": "wav"}]
    _, _, body = request.getfixturevalue(name).call("POST", "/v1/audio/speech/batch", {"items": items})
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert ("001.wav" in archive.namelist()) == (status == 200)
    assert [item["status"] for item in manifest["items"]] == [status, 200]
    assert manifest["failed"] == 0


def test_a_websocket_passes_over_it(site, toy):
    site.call("POST", "/v1/audio/speech", {"input": "。", "response_format": "pcm", "stream": True})
    with open_websocket(site.url) as connection:
        connection.send("start")
        connection.send("text", text="。\n你好。")
        connection.send("end")
        assert connection.receive_until_closed() == (1000, "")
    assert [event["text"] for event in connection.events_of("speech.sentence.started")] == ["你好。"]
