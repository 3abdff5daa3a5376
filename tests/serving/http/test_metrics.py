"""The metrics of requests."""

import json
import logging
import re
import socket
import time

from http_app import serve_app


def test_requests_are_measured_by_route_to_the_last_byte(tmp_path, toy):
    with serve_app(tmp_path, toy) as server:
        body = {"input": "今天天气真好。", "response_format": "mp3"}
        assert server.call("POST", "/v1/audio/speech", body)[0] == 200
        assert server.call("POST", "/v1/audio/speech", {"input": ""})[0] == 400
        assert server.call("GET", "/v1/voices")[0] == 200
        text = server.call("GET", "/metrics")[2].decode()
    counts = re.findall(r'^kubevoice_request_seconds_count\{route="(\S+)"\} (\S+)$', text, re.MULTILINE)
    assert dict(counts) == {"/v1/audio/speech": "2.0", "/v1/voices": "1.0"}
    (total,) = re.findall(r'^kubevoice_request_seconds_sum\{route="/v1/audio/speech"\} (\S+)$', text, re.MULTILINE)
    (first,) = re.findall(r"^kubevoice_first_audio_seconds_sum\{.*\} (\S+)$", text, re.MULTILINE)
    assert float(total) > float(first) > 0


def test_speech_is_counted_by_voice_and_revision(tmp_path, toy):
    with serve_app(tmp_path, toy) as server:
        for text in ("今天天气真好。", "好。"):
            assert server.call("POST", "/v1/audio/speech", {"input": text, "response_format": "wav"})[0] == 200
        text = server.call("GET", "/metrics")[2].decode()
    labels = f'{{revision="{toy.digest.removeprefix("sha256:")[:12]}",voice="toy"}}'
    assert f"kubevoice_characters_total{labels} 9.0" in text
    (seconds,) = re.findall(rf"^kubevoice_audio_seconds_total{re.escape(labels)} (\S+)$", text, re.MULTILINE)
    assert float(seconds) > 0


def test_a_caller_that_leaves_is_one_line_for_debugging(tmp_path, toy, caplog):
    caplog.set_level(logging.DEBUG, "kubevoice_serving")
    with serve_app(tmp_path, toy) as server:
        body = json.dumps({"input": "今天天气真好，我们一起去公园散步吧。" * 100, "response_format": "pcm"}).encode()
        head = "POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\nX-Request-Id: mine\r\n\r\n".encode() + body)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        while b"kubevoice_speech_in_progress 0.0" not in server.call("GET", "/metrics")[2]:
            time.sleep(0.05)
    (record,) = [record for record in caplog.records if "mine" in record.getMessage()]
    assert record.levelno == logging.DEBUG
    assert record.getMessage().startswith("request mine to /v1/audio/speech: the caller left after")
    assert not [record for record in caplog.records if record.exc_info]
