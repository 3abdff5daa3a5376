"""The loudness of a request."""

import io
import json
import zipfile

import pytest
import soundfile
from http_app import serve_app
from kubevoice.audio.loudness import loudness as measure_loudness

TEXT = "今天天气真好。我们一起去公园散步吧！"


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


def measure(audio):
    samples, rate = soundfile.read(io.BytesIO(audio), dtype="float32")
    return measure_loudness(samples, rate)


def test_speech_has_the_requested_loudness(site):
    unchanged, normalized = (
        measure(site.call("POST", "/v1/audio/speech", {"input": TEXT, "response_format": "wav"} | fields)[2])
        for fields in ({}, {"loudness": -30})
    )
    assert normalized == pytest.approx(-30, abs=0.2)
    assert abs(unchanged - normalized) > 1


def test_speech_with_a_loudness_is_not_streamed(site):
    status, headers, audio = site.call("POST", "/v1/audio/speech", {"input": TEXT, "loudness": -30})
    assert status == 200
    assert int(headers["Content-Length"]) == len(audio)


@pytest.mark.parametrize("fields", [{"stream": True}, {"stream_format": "sse"}])
def test_a_stream_with_a_loudness_is_an_error(site, fields):
    status, _, body = site.call("POST", "/v1/audio/speech", {"input": TEXT, "loudness": -30} | fields)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (400, "loudness_needs_whole", "loudness")


def test_each_item_of_a_batch_may_have_its_own_loudness(site):
    items = [{"input": TEXT, "response_format": "wav", "loudness": loudness} for loudness in (-35, -25)]
    status, _, body = site.call("POST", "/v1/audio/speech/batch", {"items": items})
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        measurements = [measure(archive.read(name)) for name in sorted(archive.namelist()) if name.endswith(".wav")]
    assert measurements == pytest.approx([-35, -25], abs=0.2)
