"""Times that come with the speech as events: the same ones that /v1/audio/subtitles tells, and in time."""

import asyncio
import base64
import io
import json

import openai
import pytest
import soundfile
from http_app import listening
from kubevoice_serving.routing.caching_backend import CachingBackend
from kubevoice_serving.routing.tracks import IngressConfig

TEXT = "我有100元，今天天气真好。我们一起去公园散步吧！ 好不好？"
MARKED = (
    '<speak>我们<mark name="a"/>去&amp;<mark name="b"/><break time="1s"/><mark name="c"/>银行<mark name="d"/></speak>'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    def remembering(backend):
        found = CachingBackend(backend)
        asyncio.run(found.configure(IngressConfig(voices={"toy": toy.digest}, default="toy")))
        return found

    with listening(tmp_path_factory.mktemp("site"), toy, over=remembering) as found:
        yield found


def events(site, **fields):
    """The events of a speech, and the headers they came with."""
    wanted = {"stream_format": "sse", "response_format": "pcm", "timestamps": True} | fields
    status, headers, body = site.call("POST", "/v1/audio/speech", wanted)
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream")
    return [json.loads(line.removeprefix("data: ")) for line in body.decode().strip().split("\n\n")], headers


def of(found, kind):
    return [event for event in found if event["type"] == f"speech.audio.{kind}"]


def merged(found):
    return {
        part: [one for event in of(found, "timestamps") for one in event[part]] for part in ("sentences", "bookmarks")
    }


@pytest.mark.parametrize("audio_format", ["pcm", "wav", "mp3", "opus"])
@pytest.mark.parametrize(
    "fields",
    [{"input": TEXT, "speed": 1.3}, {"input": TEXT, "emotion": "happy"}, {"input": MARKED, "ssml": True}],
)
def test_the_times_are_those_of_the_subtitles_to_the_last_digit(site, fields, audio_format):
    found, _ = events(site, **fields, response_format=audio_format)
    told = json.loads(site.call("POST", "/v1/audio/subtitles", fields)[2])
    assert merged(found) == {part: told[part] for part in ("sentences", "bookmarks")}
    assert found[-1]["type"] == "speech.audio.done"


def test_they_are_the_times_of_the_audio_that_is_sent(site, toy):
    found, _ = events(site, input=TEXT)
    pcm = b"".join(base64.b64decode(event["audio"]) for event in of(found, "delta"))
    assert len(pcm) / 2 / toy.manifest.sample_rate == pytest.approx(merged(found)["sentences"][-1]["end"])
    samples, rate = soundfile.read(io.BytesIO(pcm), samplerate=8000, channels=1, format="RAW", subtype="PCM_16")
    for before, after in zip(merged(found)["sentences"], merged(found)["sentences"][1:], strict=False):
        pause = samples[round(before["end"] * rate) : round(after["start"] * rate)]
        assert len(pause) > 0.2 * rate
        assert not pause.any()
        assert samples[: round(before["end"] * rate)][-100:].any()


def test_the_times_of_a_sentence_come_before_it_is_heard(site, toy):
    """Each event stands before the piece in which its first word begins, and long before the end."""
    found, _ = events(site, input=TEXT, pitch=1.0)
    heard, sentences = 0.0, 0
    for event in found:
        if event["type"] == "speech.audio.timestamps":
            sentences += len(event["sentences"])
            assert all(one["start"] > heard - 1e-6 for one in event["sentences"])
        elif event["type"] == "speech.audio.delta":
            heard += len(base64.b64decode(event["audio"])) / 2 / toy.manifest.sample_rate
    assert sentences == 3
    kinds = [event["type"].rpartition(".")[2] for event in found]
    assert kinds[0] == "timestamps"
    assert "delta" in kinds[1 : kinds.index("timestamps", 1)]


def test_remembered_speech_has_its_times_and_others_have_none(site):
    wanted = {"input": "这句话有时间。" + TEXT}
    plain, first = events(site, **wanted, timestamps=False)
    assert (of(plain, "timestamps"), first["X-Cache"]) == ([], "miss")
    made, missed = events(site, **wanted)
    again, hit = events(site, **wanted)
    assert (missed["X-Cache"], hit["X-Cache"]) == ("miss", "hit; memory")
    assert merged(again) == merged(made)
    assert merged(made)["sentences"]
    assert b"".join(base64.b64decode(one["audio"]) for one in of(again, "delta")) == b"".join(
        base64.b64decode(one["audio"]) for one in of(plain, "delta")
    )


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"stream_format": "audio", "response_format": "wav"}])
def test_a_file_has_no_times_and_the_answer_says_what_has(site, fields):
    found, _, body = site.call("POST", "/v1/audio/speech", {"input": TEXT, "timestamps": True} | fields)
    error = json.loads(body)["error"]
    assert (found, error["code"], error["param"]) == (400, "timestamps_need_events", "timestamps")
    assert "stream_format to sse" in error["message"]
    assert "/v1/audio/subtitles" in error["message"]


def test_openais_client_reads_the_events(site):
    wanted = {"model": "kubevoice", "voice": "toy", "input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    with (
        openai.OpenAI(base_url=f"http://127.0.0.1:{site.port}/v1", api_key="none", max_retries=0) as client,
        client.audio.speech.with_streaming_response.create(**wanted, extra_body={"timestamps": True}) as answer,
    ):
        lines = [line for line in answer.iter_lines() if line]
    found = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {"type", "audio"} == set(of(found, "delta")[0])
    assert of(found, "done") == [
        {
            "type": "speech.audio.done",
            "usage": {"input_tokens": len(TEXT), "output_tokens": 0, "total_tokens": len(TEXT)},
        }
    ]
    assert merged(found)["sentences"][0]["text"].startswith("我有")


def test_the_document_describes_the_events(site):
    document = json.loads(site.call("GET", "/openapi.json")[2])
    content = document["paths"]["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    named = [one["$ref"].rpartition("/")[2] for one in content["text/event-stream"]["schema"]["oneOf"]]
    assert named == ["AudioDelta", "Timestamps", "AudioDone"]
    schemas = document["components"]["schemas"]
    assert {"AudioDelta", "Timestamps", "AudioDone", "SentenceTime", "WordTime"} <= set(schemas)
    assert "audio/mpeg" in content
