"""Ray Serve on this machine with toy voices, over HTTP and the WebSocket."""

import base64
import http.client
import io
import json
import re
import socket
import time
import zipfile

import openai
import pytest
import soundfile
from kubevoice_operator.local.serve_logs import LogReader
from local_voice import DEADLINE_SECONDS, bundle, call, open_speech, render, serve_voice, speak, wait_until
from toy_voice import make_toy_voice

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("only_ray")]


def make_deep_folder(folder):
    """Make a subfolder with so long a path that the paths of Ray's sockets reach the kernel's limit."""
    path = folder / ("x" * max(1, 45 - len(str(folder))))
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def serving(tmp_path_factory, toy):
    with serve_voice(make_deep_folder(tmp_path_factory.mktemp("serving")), toy) as local:
        yield local


def measure_seconds(wav):
    samples, rate = soundfile.read(io.BytesIO(wav))
    return len(samples) / rate


def test_speech_names_its_voice_and_revision(serving, toy):
    status, headers, wav = speak(serving)
    assert (status, headers["Content-Type"]) == (200, "audio/wav")
    assert len(headers.get_all("X-Request-Id")) == 1
    assert (headers["X-Voice"], headers["X-Revision"]) == ("toy", toy.digest)
    assert soundfile.info(io.BytesIO(wav)).samplerate == toy.manifest.sample_rate
    assert float(headers["X-Audio-Seconds"]) == pytest.approx(measure_seconds(wav), abs=0.01)


def test_controls_reach_the_voice(serving):
    neutral, happy, slow = (measure_seconds(speak(serving, **f)[2]) for f in ({}, {"emotion": "happy"}, {"speed": 0.5}))
    assert happy > neutral  # units of the toy voice last four frames more with the emotion happy
    assert slow > 1.8 * neutral


def test_mp3_is_the_default_as_with_openai(serving):
    status, headers, audio = call(
        serving, "POST", "/v1/audio/speech", {"model": "toy", "input": "你好。", "voice": "toy"}
    )
    assert (status, headers["Content-Type"]) == (200, "audio/mpeg")
    assert soundfile.info(io.BytesIO(audio)).format == "MP3"


def read_stream(serving, **fields):
    """Send a request; return the response and its parts: pairs of seconds since the request and bytes."""
    host, port = serving.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE_SECONDS)
    body = json.dumps({"input": "你好。", "response_format": "pcm"} | fields)
    began = time.monotonic()
    connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    parts = []
    while part := answer.read1(1 << 16):
        parts.append((time.monotonic() - began, part))
    connection.close()
    return answer, parts


def test_streamed_speech_is_the_same_speech(serving, toy):
    text = "今天天气真好，我们一起去公园散步吧！" * 4
    answer, parts = read_stream(serving, input=text)
    assert (answer.status, answer.headers["Transfer-Encoding"]) == (200, "chunked")
    assert (answer.headers["X-Voice"], answer.headers["X-Revision"]) == ("toy", toy.digest)
    assert len(parts) > 3
    _, headers, audio = speak(serving, input=text, response_format="pcm", stream=False)
    assert headers["Content-Length"] == str(len(audio))
    assert b"".join(part for _, part in parts) == audio
    _, wav = read_stream(serving, input=text, response_format="wav", stream=True)
    assert b"".join(part for _, part in wav)[44:] == audio


def test_a_repeated_request_is_answered_from_the_cache(serving):
    body = {"input": "这句话刚刚说过。", "emotion": "happy"}
    for fields in ({"response_format": "wav"}, {"response_format": "pcm", "stream": True}):
        (_, first, audio), (_, second, cached_audio) = (speak(serving, cached=True, **body, **fields) for _ in range(2))
        assert (first["X-Cache"], second["X-Cache"]) == ("miss", "hit; memory")
        assert cached_audio == audio
        assert second["X-Revision"] == first["X-Revision"]
        assert speak(serving, **body, **fields)[1]["X-Cache"] == "miss"  # no-cache
    assert speak(serving, cached=True, **body, speed=1.5)[1]["X-Cache"] == "miss"
    metrics = call(serving, "GET", "/metrics")[2].decode()
    assert float(re.search(r'^kubevoice_cache_requests_total{tier="memory"} (\S+)$', metrics, re.MULTILINE)[1]) == 2


def test_times_are_those_of_the_speech(serving):
    status, headers, content = call(serving, "POST", "/v1/audio/subtitles", {"input": "你好。再见。"})
    assert status == 200
    _, speech_headers, audio = speak(serving, input="你好。再见。")
    assert headers["X-Revision"] == speech_headers["X-Revision"]
    assert json.loads(content)["duration"] == pytest.approx(float(speech_headers["X-Audio-Seconds"]), abs=1e-3)
    assert audio


def test_events_have_openais_format(serving):
    answer, parts = read_stream(serving, stream_format="sse", input="你好，世界。")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    lines = b"".join(part for _, part in parts).decode().strip().split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [event["type"] for event in events[-2:]] == ["speech.audio.delta", "speech.audio.done"]
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert audio == speak(serving, input="你好，世界。", response_format="pcm", stream=False)[2]


def test_incremental_speech_is_the_same_speech(serving, toy):
    text = "今天天气真好，我们一起去公园散步吧！好不好？"
    with open_speech(serving, {"timestamps": True, "speed": 1.5}) as connection:
        for character in text[:-3]:
            connection.send("text", text=character)
        connection.send("flush")
        connection.receive_until("speech.flushed")
        connection.send("text", text=text[-3:])
        connection.send("end")
        assert connection.receive_until("speech.audio.done")["usage"]["input_tokens"] == len(text)
        assert connection.receive_until_closed() == (1000, "")
        assert connection.websocket.response.headers["X-Request-Id"]
    texts = text[:-3], text[-3:]
    audio = [speak(serving, input=part, speed=1.5, response_format="pcm", stream=False)[2] for part in texts]
    pause = bytes(2 * round(0.28 / 1.5 * toy.manifest.sample_rate))
    assert connection.audio == pause.join(audio)


def test_a_websocket_error_has_a_message(serving):
    with open_speech(serving, {"emotion": "bored"}) as connection:
        connection.send("text", text="你好。\n")
        assert "it has: neutral, happy" in connection.receive_until("error")["error"]["message"]
        assert connection.receive_until_closed() == (4400, "cannot_speak")


def test_closing_a_websocket_cancels_the_work(serving):
    for _ in range(3):
        with open_speech(serving) as connection:
            connection.send("text", text="今天天气真好，我们一起去公园散步吧。" * 200)
            connection.receive_until("speech.sentence.started")
            connection.websocket.socket.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: b"kubevoice_speech_in_progress 0.0" in call(serving, "GET", "/metrics")[2])


def test_incremental_speech_continues_with_a_new_revision(serving, toy, other_toy, tmp_path):
    """It changes between two sentences. With another sample rate it ends with an error."""
    third = make_toy_voice(tmp_path / "third", "third")
    try:
        with open_speech(serving) as connection:
            for number, revision in enumerate((toy, third)):
                if number:
                    serving.apply(render(bundle(revision)))
                    serving.wait("toy", revision.digest, DEADLINE_SECONDS)
                connection.send("text", text="你好。")
                connection.send("flush")
                assert connection.receive_until("speech.sentence.started")["revision"] == revision.digest
                connection.receive_until("speech.flushed")
            serving.apply(render(bundle(other_toy)))
            serving.wait("toy", other_toy.digest, DEADLINE_SECONDS)
            connection.send("text", text="再见。")
            connection.send("end")
            assert "replaced by one at 4000 Hz" in connection.receive_until("error")["error"]["message"]
            assert connection.receive_until_closed() == (4503, "voice_replaced")
    finally:
        serving.apply(render(bundle(toy)))
        serving.wait("toy", toy.digest, DEADLINE_SECONDS)


def test_a_batch_comes_back_as_one_zip_file(serving, toy):
    items = [{"id": "a", "input": "你好。", "response_format": "wav"}, {"input": ""}, {"input": "再见。"}]
    status, headers, body = call(serving, "POST", "/v1/audio/speech/batch", {"items": items})
    assert (status, headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.namelist() == ["a.wav", "003.mp3", "manifest.json"]
        assert archive.read("a.wav") == speak(serving, input="你好。")[2]
        manifest = json.loads(archive.read("manifest.json"))
    assert [item["status"] for item in manifest["items"]] == [200, 400, 200]
    assert manifest["items"][0]["revision"] == toy.digest


def test_openais_client_works(serving):
    with openai.OpenAI(base_url=f"{serving.url}/v1", api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["toy"]
        fields = {"model": "kubevoice", "voice": "toy", "input": "你好，世界。"}
        speech = client.audio.speech.create(**fields, response_format="wav", speed=2.0, extra_body={"emotion": "happy"})
        assert measure_seconds(speech.content) > 0
        with client.audio.speech.with_streaming_response.create(**fields, response_format="pcm") as answer:
            pcm = b"".join(answer.iter_bytes())
        assert pcm == speak(serving, input="你好，世界。", response_format="pcm", stream=False)[2]
        with pytest.raises(openai.BadRequestError, match="it has: neutral, happy") as error_info:
            client.audio.speech.create(**fields, extra_body={"emotion": "bored"})
        assert error_info.value.param == "input"


def test_a_stream_that_cannot_start_has_an_error_response(serving):
    answer, parts = read_stream(serving, emotion="bored")
    assert answer.status == 400
    assert "it has: neutral, happy" in json.loads(parts[0][1])["error"]["message"]


def test_closing_the_connection_cancels_the_work(serving):
    host, port = serving.url.removeprefix("http://").split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port))) as connection:
            body = json.dumps({"input": "很长的一句话。" * 500, "response_format": "pcm"}).encode()
            head = "POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while b"kubevoice_speech_in_progress 0.0" not in call(serving, "GET", "/metrics")[2]:
        assert time.monotonic() < deadline
    entries = LogReader(serving.ray.logs).read()
    assert any("/v1/audio/speech" in entry.text for entry in entries)
    assert [entry.text for entry in entries if "Traceback" in entry.text] == []


@pytest.mark.parametrize(
    ("fields", "status", "message_part"),
    [
        ({"input": ""}, 400, "empty"),
        ({"input": "好" * 5_000}, 413, "split the text"),
        ({"emotion": "bored"}, 400, "it has: neutral, happy"),
        ({"speaker": "nobody"}, 400, "it has: first, second"),
        ({"voice": "nobody"}, 404, "nobody"),
        ({"speed": 99}, 422, "speed"),
        ({"input": "<speak>", "ssml": True}, 400, "line 1, column 8"),
        ({"lexicon": {"C#": "xi9"}}, 400, "lexicon['C#']: 'xi9' is not a pinyin syllable"),
    ],
)
def test_invalid_requests_have_an_error_with_a_message(serving, fields, status, message_part):
    code, _, body = speak(serving, **fields)
    error = json.loads(body)["error"]
    assert code == status
    assert message_part in error["message"]


def test_lists_page_and_metrics(serving, toy):
    voices = json.loads(call(serving, "GET", "/v1/voices")[2])["voices"]
    assert [(v["name"], v["revision"], v["emotions"]) for v in voices] == [("toy", toy.digest, ["neutral", "happy"])]
    models = json.loads(call(serving, "GET", "/v1/models")[2])
    assert [model["id"] for model in models["data"]] == ["toy"]
    status, headers, page = call(serving, "GET", "/")
    assert (status, b"<html" in page) == (200, True)
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    speak(serving)
    assert b"kubevoice_" in call(serving, "GET", "/metrics")[2]
    analysis = json.loads(call(serving, "POST", "/v1/text/analyze", {"text": "你好", "lexicon": {"好": "hao4"}})[2])
    assert [(s["char"], s["pinyin"]) for s in analysis["pinyin"]] == [("你", "ni3"), ("好", "hao4")]
    document = {"text": "<speak><w>长</w></speak>", "ssml": True}
    assert json.loads(call(serving, "POST", "/v1/text/analyze", document)[2])["pinyin"][0]["offset"] == 10


def test_an_ssml_document_is_synthesized(serving):
    def synthesize_seconds(document):
        status, headers, _ = speak(serving, input=document, ssml=True)
        assert status == 200
        return float(headers["X-Audio-Seconds"])

    plain = synthesize_seconds("<speak>今天天气真好。</speak>")
    assert synthesize_seconds('<speak>今天天气真好。<break time="1s"/></speak>') == pytest.approx(plain + 1, abs=0.01)
    assert synthesize_seconds('<speak><prosody rate="2">今天天气真好。</prosody></speak>') < 0.8 * plain
    document = '<speak>你好<blink>，</blink><voice name="nobody">再见</voice></speak>'
    _, headers, _ = speak(serving, input=document, ssml=True)
    notices = json.loads(headers["X-Notices"])
    assert [(notice["line"], notice["column"]) for notice in notices] == [(1, 10), (None, None)]
    assert "has no speaker 'nobody'; it has: first, second" in notices[1]["message"]
    analysis = json.loads(
        call(serving, "POST", "/v1/text/analyze", {"text": document, "ssml": True, "voice": "toy"})[2]
    )
    assert analysis["notices"] == notices


def test_the_legacy_api_stores_a_file(serving):
    status, _, body = call(serving, "POST", "/api/tts", {"text": "你好。"})
    assert status == 200
    status, headers, wav = call(serving, "GET", json.loads(body)["audio_url"])
    assert (status, headers["Content-Type"]) == (200, "audio/wav")
    assert measure_seconds(wav) > 0
    assert call(serving, "GET", "/audio/..%2f..%2fetc%2fpasswd.wav")[0] == 404
