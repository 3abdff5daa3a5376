"""Timestamps as events of a stream, sent before the audio of their words. They equal those of /v1/audio/subtitles."""

import asyncio
import base64
import io
import json

import openai
import pytest
import soundfile
from http_app import serve_app
from kubevoice.resources.data_plane import IngressConfig
from kubevoice_serving.routing.caching_backend import CachingBackend

TEXT = "我有100元，今天天气真好。我们一起去公园散步吧！ 好不好？"
MARKED = (
    '<speak>我们<mark name="a"/>去&amp;<mark name="b"/><break time="1s"/><mark name="c"/>银行<mark name="d"/></speak>'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    def add_cache(backend):
        caching = CachingBackend(backend)
        asyncio.run(caching.configure(IngressConfig(voices={"toy": toy.digest}, default="toy")))
        return caching

    with serve_app(tmp_path_factory.mktemp("site"), toy, wrap=add_cache) as site:
        yield site


def fetch_events(site, **fields):
    """Return the events of a speech, and the response's headers."""
    body_fields = {"stream_format": "sse", "response_format": "pcm", "timestamps": True} | fields
    status, headers, body = site.call("POST", "/v1/audio/speech", body_fields)
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream")
    return [json.loads(line.removeprefix("data: ")) for line in body.decode().strip().split("\n\n")], headers


def select_events(received, kind):
    return [event for event in received if event["type"] == f"speech.audio.{kind}"]


def merge_events(received):
    return {
        part: [item for event in select_events(received, "timestamps") for item in event[part]]
        for part in ("sentences", "bookmarks")
    }


@pytest.mark.parametrize("audio_format", ["pcm", "wav", "mp3", "opus"])
@pytest.mark.parametrize(
    "fields",
    [{"input": TEXT, "speed": 1.3}, {"input": TEXT, "emotion": "happy"}, {"input": MARKED, "ssml": True}],
)
def test_timestamps_equal_those_of_the_subtitles(site, fields, audio_format):
    received, _ = fetch_events(site, **fields, response_format=audio_format)
    subtitles = json.loads(site.call("POST", "/v1/audio/subtitles", fields)[2])
    assert merge_events(received) == {part: subtitles[part] for part in ("sentences", "bookmarks")}
    assert received[-1]["type"] == "speech.audio.done"


def test_timestamps_are_those_of_the_audio(site, toy):
    received, _ = fetch_events(site, input=TEXT)
    pcm = b"".join(base64.b64decode(event["audio"]) for event in select_events(received, "delta"))
    assert len(pcm) / 2 / toy.manifest.sample_rate == pytest.approx(merge_events(received)["sentences"][-1]["end"])
    samples, rate = soundfile.read(io.BytesIO(pcm), samplerate=8000, channels=1, format="RAW", subtype="PCM_16")
    for before, after in zip(
        merge_events(received)["sentences"], merge_events(received)["sentences"][1:], strict=False
    ):
        pause = samples[round(before["end"] * rate) : round(after["start"] * rate)]
        assert len(pause) > 0.2 * rate
        assert not pause.any()
        assert samples[: round(before["end"] * rate)][-100:].any()


def test_timestamps_of_a_sentence_come_before_its_audio(site, toy):
    """Each event comes before the chunk with its first word, and before the end of the stream."""
    received, _ = fetch_events(site, input=TEXT, pitch=1.0)
    seconds, sentences = 0.0, 0
    for event in received:
        if event["type"] == "speech.audio.timestamps":
            sentences += len(event["sentences"])
            assert all(sentence["start"] > seconds - 1e-6 for sentence in event["sentences"])
        elif event["type"] == "speech.audio.delta":
            seconds += len(base64.b64decode(event["audio"])) / 2 / toy.manifest.sample_rate
    assert sentences == 3
    kinds = [event["type"].rpartition(".")[2] for event in received]
    assert kinds[0] == "timestamps"
    assert "delta" in kinds[1 : kinds.index("timestamps", 1)]


def test_cached_speech_has_timestamps(site):
    body_fields = {"input": "这句话有时间。" + TEXT}
    plain, first = fetch_events(site, **body_fields, timestamps=False)
    assert (select_events(plain, "timestamps"), first["X-Cache"]) == ([], "miss")
    first_events, miss = fetch_events(site, **body_fields)
    second_events, hit = fetch_events(site, **body_fields)
    assert (miss["X-Cache"], hit["X-Cache"]) == ("miss", "hit; memory")
    assert merge_events(second_events) == merge_events(first_events)
    assert merge_events(first_events)["sentences"]
    assert b"".join(base64.b64decode(event["audio"]) for event in select_events(second_events, "delta")) == b"".join(
        base64.b64decode(event["audio"]) for event in select_events(plain, "delta")
    )


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"stream_format": "audio", "response_format": "wav"}])
def test_timestamps_of_a_file_are_an_error(site, fields):
    status, _, body = site.call("POST", "/v1/audio/speech", {"input": TEXT, "timestamps": True} | fields)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (400, "timestamps_need_events", "timestamps")
    assert "stream_format to sse" in error["message"]
    assert "/v1/audio/subtitles" in error["message"]


def test_openais_client_reads_the_events(site):
    body = {
        "model": "kubevoice",
        "voice": "toy",
        "input": TEXT,
        "response_format": "pcm",
        "stream_format": "sse",
    }
    with (
        openai.OpenAI(base_url=f"http://127.0.0.1:{site.port}/v1", api_key="none", max_retries=0) as client,
        client.audio.speech.with_streaming_response.create(**body, extra_body={"timestamps": True}) as answer,
    ):
        lines = [line for line in answer.iter_lines() if line]
    received = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {"type", "audio"} == set(select_events(received, "delta")[0])
    assert select_events(received, "done") == [
        {
            "type": "speech.audio.done",
            "usage": {"input_tokens": len(TEXT), "output_tokens": 0, "total_tokens": len(TEXT)},
        }
    ]
    assert merge_events(received)["sentences"][0]["text"].startswith("我有")


def test_the_document_describes_the_events(site):
    document = json.loads(site.call("GET", "/openapi.json")[2])
    content = document["paths"]["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    named = [schema["$ref"].rpartition("/")[2] for schema in content["text/event-stream"]["schema"]["oneOf"]]
    assert named == ["AudioDelta", "Timestamps", "AudioDone"]
    schemas = document["components"]["schemas"]
    assert {"AudioDelta", "Timestamps", "AudioDone", "SentenceTime", "WordTime"} <= set(schemas)
    assert "audio/mpeg" in content
