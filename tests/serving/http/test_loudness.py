"""Speech as loud as is asked for."""

import io
import json
import zipfile

import pytest
import soundfile
from http_app import listening
from kubevoice.audio.loudness import loudness

TEXT = "今天天气真好。我们一起去公园散步吧！"


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with listening(tmp_path_factory.mktemp("site"), toy) as found:
        yield found


def measured(audio):
    samples, rate = soundfile.read(io.BytesIO(audio), dtype="float32")
    return loudness(samples, rate)


def test_the_whole_speech_is_brought_to_it(site):
    as_it_is, asked = (
        measured(site.call("POST", "/v1/audio/speech", {"input": TEXT, "response_format": "wav"} | fields)[2])
        for fields in ({}, {"loudness": -30})
    )
    assert asked == pytest.approx(-30, abs=0.2)
    assert abs(as_it_is - asked) > 1


def test_a_format_that_would_be_streamed_is_not(site):
    status, headers, audio = site.call("POST", "/v1/audio/speech", {"input": TEXT, "loudness": -30})
    assert status == 200
    assert int(headers["Content-Length"]) == len(audio)


@pytest.mark.parametrize("fields", [{"stream": True}, {"stream_format": "sse"}])
def test_a_stream_cannot_have_it(site, fields):
    status, _, body = site.call("POST", "/v1/audio/speech", {"input": TEXT, "loudness": -30} | fields)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (400, "loudness_needs_whole", "loudness")


def test_each_item_of_a_batch_may_have_its_own(site):
    items = [{"input": TEXT, "response_format": "wav", "loudness": wanted} for wanted in (-35, -25)]
    status, _, body = site.call("POST", "/v1/audio/speech/batch", {"items": items})
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        found = [measured(archive.read(name)) for name in sorted(archive.namelist()) if name.endswith(".wav")]
    assert found == pytest.approx([-35, -25], abs=0.2)
