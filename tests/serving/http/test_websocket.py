"""Incremental speech over a WebSocket: text arrives in pieces, as from a language model, and speech is sent back."""

import io
import json
import re
import time

import av
import numpy as np
import pytest
from kubevoice_serving.domain import AtCapacityError, UnavailableError
from websocket_client import DEADLINE_SECONDS, PATH, open_websocket
from websocket_site import send_text, speak
from websockets.exceptions import ConnectionClosed

TEXT = "我有100元，今天天气真好。他说：“你好。再见。”我们一起去公园散步吧！好不好？"
SENTENCES = ["我有100元，今天天气真好。", "他说：“你好。再见。”", "我们一起去公园散步吧！", "好不好？"]


@pytest.mark.parametrize("controls", [{}, {"speed": 1.7, "emotion": "happy"}, {"volume": 0.5, "speaker": "second"}])
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_text_in_pieces_gives_the_same_speech_as_one_request(site, controls, cut):
    pieces = [TEXT[at : at + cut] for at in range(0, len(TEXT), cut)]
    connection = send_text(site, pieces, **controls)
    assert connection.audio == speak(site, input=TEXT, **controls)
    assert [event["text"] for event in connection.events_of("speech.sentence.started")] == SENTENCES


def test_the_order_of_events(site, toy):
    connection = send_text(site, [TEXT], voice="toy")
    assert connection.events[0] == {
        "type": "speech.started",
        "voice": "toy",
        "revision": toy.digest,
        "response_format": "pcm",
        "notices": [],
        "sample_rate": toy.manifest.sample_rate,
    }
    usage = {"input_tokens": len(TEXT), "output_tokens": 0, "total_tokens": len(TEXT)}
    assert connection.events[-1] == {"type": "speech.audio.done", "usage": usage}
    samples = 0
    for event in connection.events[1:-1]:
        if isinstance(event, int):
            samples += event
            continue
        assert TEXT[event["begin"] : event["finish"]] == event["text"]
        assert event["start"] == pytest.approx(samples / 2 / toy.manifest.sample_rate)
    assert samples == len(connection.audio)


def test_times_equal_those_of_one_request(site):
    connection = send_text(site, [TEXT[:9], "", TEXT[9:]], timestamps=True, speed=1.3)
    sentences = [
        sentence for event in connection.events_of("speech.audio.timestamps") for sentence in event["sentences"]
    ]
    subtitles = json.loads(site.call("POST", "/v1/audio/subtitles", {"input": TEXT, "speed": 1.3})[2])

    def flatten(sentences):
        words = [word for sentence in sentences for word in sentence["words"]]
        return [item for word in words for item in (word, *word["characters"])]

    for actual, expected in zip(flatten(sentences), flatten(subtitles["sentences"]), strict=True):
        assert (actual["start"], actual["end"]) == pytest.approx((expected["start"], expected["end"]))
        assert actual["offset"] == expected["offset"]
    assert [(s["begin"], s["finish"]) for s in sentences] == [(s["begin"], s["finish"]) for s in subtitles["sentences"]]


@pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "opus", "aac"])
def test_the_binary_messages_are_one_file_of_any_format(site, audio_format):
    connection = send_text(site, [TEXT], response_format=audio_format)
    actual = decode_audio(connection.audio)
    expected = decode_audio(speak(site, input=TEXT, response_format=audio_format, stream=True))
    assert len(actual) == len(expected)
    np.testing.assert_allclose(actual, expected, atol=0.01)


def decode_audio(audio):
    with av.open(io.BytesIO(audio)) as file:
        frames = [frame.to_ndarray().ravel() for frame in file.decode(audio=0)]
    samples = np.concatenate(frames)
    return samples / 32768 if samples.dtype == np.int16 else samples


def test_a_sentence_is_synthesized_before_the_next_one_is_complete(site):
    with open_websocket(site.url) as connection:
        connection.send("start")
        wait_until(lambda: b"kubevoice_websocket_connections 1.0" in site.call("GET", "/metrics")[2])
        connection.send("text", text="今天天气真好。我")
        assert connection.receive_until("speech.sentence.started")["text"] == "今天天气真好。"
        connection.send("text", text="们去公园")
        connection.send("flush")
        connection.receive_until("speech.flushed")
        assert [event["text"] for event in connection.events_of("speech.sentence.started")] == [
            "今天天气真好。",
            "我们去公园",
        ]
        assert connection.audio == speak(site, input="今天天气真好。我们去公园")
        connection.send("end")
        assert connection.receive_until_closed() == (1000, "")


def test_lines_with_nothing_to_speak_are_skipped(site):
    connection = send_text(site, ["——\n😀！\n\n你好。\n", "……\n", "再见。", "\n"])
    assert [event["text"] for event in connection.events_of("speech.sentence.started")] == ["你好。", "再见。"]
    assert connection.audio == speak(site, input="你好。再见。")


@pytest.mark.parametrize("pieces", [[], ["", " \n"], ["——", "😀"]])
def test_a_text_with_nothing_to_speak_is_an_error(site, pieces):
    with open_websocket(site.url) as connection:
        connection.send("start")
        for piece in pieces:
            connection.send("text", text=piece)
        connection.send("end")
        assert connection.receive_until_closed() == (4400, "cannot_speak")
    assert "nothing in the text that can be spoken" in connection.error["message"]


@pytest.mark.parametrize(
    ("messages", "code", "reason", "message_part"),
    [
        (["{"], 4400, "invalid_json", "not JSON"),
        (["[" * 50_000], 4400, "invalid_json", "not JSON"),
        ([b"\0\0"], 4400, "invalid_json", "binary"),
        (["null"], 4422, "invalid_value", "type"),
        ([{"type": "unknown"}], 4422, "invalid_value", "'start', 'text', 'flush', 'end'"),
        ([{"type": "text", "text": "好。"}], 4400, "not_started", "first message"),
        ([{"type": "start"}, {"type": "start"}], 4400, "already_started", "open another"),
        ([{"type": "start", "speed": 9}], 4422, "invalid_value", "speed: "),
        (['{"type": "start", "speed": NaN}'], 4422, "invalid_value", "speed: "),
        ([{"type": "start", "ssml": True}], 4422, "invalid_value", "ssml: Extra inputs"),
        ([{"type": "start", "lexicon": {"好": "xi9"}}], 4400, "cannot_speak", "not a pinyin syllable"),
        ([{"type": "start"}, {"type": "text"}], 4422, "invalid_value", "text: Field required"),
        ([{"type": "start"}, '{"type": "text", "text": "\\ud800"}'], 4400, "invalid_json", "hex escape"),
        ([{"type": "start"}, {"type": "text", "text": "好" * 4097}], 4422, "invalid_value", "text: "),
        ([{"type": "start"}, *[{"type": "text", "text": "，" * 4096}] * 2], 4413, "text_too_long", "more than 4096"),
        ([{"type": "start"}, *[{"type": "flush"}] * 4097], 4413, "text_too_long", "more than 4096"),
        (['"' + "a" * (1 << 18) + '"'], 4413, "body_too_large", "send less text"),
        (
            [{"type": "start", "voice": "x"}, {"type": "text", "text": "好。\n"}],
            4404,
            "unknown_voice",
            "there are: toy",
        ),
        ([{"type": "start", "emotion": "x"}, {"type": "text", "text": "好。\n"}], 4400, "cannot_speak", "it has: neut"),
    ],
)
def test_invalid_messages_end_the_connection_with_an_error(site, messages, code, reason, message_part):
    with open_websocket(site.url) as connection:
        for message in messages:
            raw = isinstance(message, str | bytes)
            try:
                connection.websocket.send(message if raw else json.dumps(message))
            except ConnectionClosed:
                break
        assert connection.receive_until_closed() == (code, reason)
    assert (connection.error["code"], message_part in connection.error["message"]) == (reason, True), connection.error
    assert set(connection.error) == {"message", "type", "code", "param", "problems"}


def test_a_message_after_the_end_is_an_error(site, backend):
    backend.gate.clear()
    with open_websocket(site.url) as connection:
        connection.send("start")
        connection.send("text", text="你好。")
        connection.send("end")
        connection.send("text", text="再见。")
        assert connection.receive_until_closed() == (4400, "ended")


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_closing_the_connection_cancels_the_work(site, backend):
    with open_websocket(site.url) as connection:
        connection.send("start", volume=0.9)
        for _ in range(40):
            connection.send("text", text="今天天气真好，我们一起去公园散步吧。" * 2)
        connection.receive_until("speech.sentence.started")
        backend.gate.clear()
    backend.gate.set()
    wait_until(lambda: b"kubevoice_speech_in_progress 0.0" in site.call("GET", "/metrics")[2])
    wait_until(lambda: backend.ended == len(backend.requests))
    assert len(backend.requests) < 80


def test_a_message_too_large_for_the_server_ends_the_connection_without_a_logged_error(site, backend, caplog):
    with open_websocket(site.url) as connection:
        connection.send("start", volume=0.8)
        for _ in range(40):
            connection.send("text", text="今天天气真好，我们一起去公园散步吧。" * 2)
        connection.receive_until("speech.sentence.started")
        connection.send("text", text="好" * (6 << 20))
        assert connection.receive_until_closed()[0] == 1009
    wait_until(lambda: backend.ended == len(backend.requests))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_an_idle_connection_is_closed(site, backend, monkeypatch):
    monkeypatch.setattr("kubevoice_serving.http.routes.websocket.IDLE_SECONDS", 0.2)
    with open_websocket(site.url) as connection:
        assert connection.receive_until_closed() == (4408, "idle")
    backend.gate.clear()
    with open_websocket(site.url) as connection:  # but not while there is text to synthesize
        connection.send("start")
        connection.send("text", text="今天天气真好。")
        connection.send("flush")
        wait_until(lambda: backend.requests)
        with pytest.raises(TimeoutError):
            connection.websocket.recv(timeout=0.6)
        backend.gate.set()
        connection.receive_until("speech.flushed")
        assert connection.receive_until_closed() == (4408, "idle")


def test_at_capacity_new_speech_is_refused_and_started_speech_waits(site, backend):
    backend.failures = [AtCapacityError(retry_after=3)]
    with open_websocket(site.url) as connection:
        connection.send("start")
        connection.send("text", text="你好。\n")
        assert connection.receive_until_closed() == (4429, "busy")
        assert "try again in 3 s" in connection.error["message"]
    backend.failures = [None, AtCapacityError(), AtCapacityError()]
    assert send_text(site, ["你好。再见。"]).audio == speak(site, input="你好。再见。")


def test_a_replica_that_is_lost_is_an_error(site, backend):
    backend.failures = [None, UnavailableError("no replica can answer now")]
    with open_websocket(site.url) as connection:
        connection.send("start")
        connection.send("text", text="你好。再见。")
        connection.send("end")
        assert connection.receive_until_closed() == (4503, "unavailable")
        assert len(connection.events_of("speech.sentence.started")) == 1


def test_an_unexpected_error_is_reported_without_a_traceback(site, backend, caplog):
    backend.failures = [KeyError("secret")]
    with open_websocket(site.url) as connection:
        connection.send("start")
        connection.send("text", text="你好。\n")
        assert connection.receive_until_closed() == (4500, "internal_error")
    request_id = connection.websocket.response.headers["X-Request-Id"]
    assert request_id in connection.error["message"]
    assert "secret" not in connection.error["message"]
    assert any(request_id in record.getMessage() for record in caplog.records)


def test_each_request_has_the_revision_and_the_buffered_seconds_of_the_speech_before(site, backend, toy):
    connection = send_text(site, [TEXT], pitch=2.0)
    first, *rest = [request.preceding for request in backend.requests]
    assert first is None
    assert {preceding.revision for preceding in rest} == {toy.digest}
    seconds = len(connection.audio) / 2 / toy.manifest.sample_rate
    assert 0 < rest[0].buffered_seconds < rest[-1].buffered_seconds < seconds


def test_sentences_are_cached_for_all_requests(site):
    speak(site, input="这一句大家都说过。", stream=True, pitch=-1.0)
    before = count_hits(site)
    send_text(site, ["你好。这一句大家都说过。"], pitch=-1.0)
    assert count_hits(site) == before + 1


def count_hits(site):
    exposition = site.call("GET", "/metrics")[2].decode()
    match = re.search(r'^kubevoice_cache_requests_total{tier="memory"} (\S+)$', exposition, re.MULTILINE)
    return float(match[1]) if match else 0.0


def test_metrics_count_connections_by_how_they_ended(site):
    def count(status):
        line = f'kubevoice_requests_total{{method="WEBSOCKET",route="{PATH}",status="{status}"}}'
        exposition = site.call("GET", "/metrics")[2].decode()
        return next((float(sample.split()[-1]) for sample in exposition.splitlines() if sample.startswith(line)), 0.0)

    before = count(200), count(422), count(499)
    send_text(site, ["你好。"])
    with open_websocket(site.url) as connection:
        connection.send("unknown")
        connection.receive_until_closed()
    with open_websocket(site.url) as connection:
        connection.send("start")
    wait_until(lambda: (count(200), count(422), count(499)) == tuple(value + 1 for value in before))


def test_nothing_of_the_text_is_in_the_log(site, caplog):
    with caplog.at_level("DEBUG", "kubevoice_serving"):
        send_text(site, ["这是一个秘密。"])
    assert "秘密" not in caplog.text
