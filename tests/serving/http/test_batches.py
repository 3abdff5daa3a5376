"""Batches: the ZIP file is streamed while it is made, and an invalid text does not fail the others."""

import asyncio
import http.client
import io
import json
import socket
import struct
import time
import zipfile

import pytest
from http_app import serve_app
from kubevoice.resources.data_plane import AccessConfig
from kubevoice_serving.domain import AtCapacityError, UnavailableError
from kubevoice_serving.http.api_keys import generate_key
from kubevoice_serving.http.zip_stream import ZipStream

PATH = "/v1/audio/speech/batch"
DEADLINE_SECONDS = 20.0


class RecordingBackend:
    """Wraps a backend: records requests and how many run at once, and raises the errors that a test sets."""

    def __init__(self, replica):
        self._replica = replica
        self.requests, self.running, self.max_running, self.failures = [], 0, 0, {}
        self.blocked = frozenset()

    def __getattr__(self, name):
        return getattr(self._replica, name)

    async def synthesize(self, request):
        self.requests.append(request)
        if self.failures.get(request.text):
            raise self.failures[request.text].pop()
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        try:
            while request.text in self.blocked:  # noqa: ASYNC110  # a test unblocks it from another thread
                await asyncio.sleep(0.01)
            return await self._replica.synthesize(request)
        finally:
            self.running -= 1


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy, wrap=RecordingBackend) as site:
        yield site


@pytest.fixture
def backend(shared_site):
    return shared_site.backend


@pytest.fixture
def site(shared_site, backend):
    backend.requests, backend.max_running, backend.failures = [], 0, {}
    yield shared_site
    backend.blocked = frozenset()
    shared_site.access.configure(AccessConfig())


def send_batch(site, items, **headers):
    """Send a batch; return the files of the archive by name, and the manifest."""
    status, response_headers, body = site.call("POST", PATH, {"items": items}, **headers)
    assert (status, response_headers["Content-Type"], response_headers["Transfer-Encoding"]) == (
        200,
        "application/zip",
        "chunked",
    )
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    return files, json.loads(files.pop("manifest.json"))


def speak(site, **fields):
    status, _, audio = site.call("POST", "/v1/audio/speech", {"stream": False} | fields)
    assert status == 200
    return audio


def test_each_file_equals_the_response_to_a_single_request(site, toy):
    items = [
        {"input": "你好。", "response_format": "wav"},
        {"id": "happy", "input": "今天天气真好。", "emotion": "happy", "speed": 1.5},
        {"id": "book.1", "input": "<speak>再见<break time='1s'/></speak>", "ssml": True, "response_format": "flac"},
        {"input": "长", "lexicon": {"长": "zhang3"}, "voice": "toy", "response_format": "pcm"},
    ]
    files, manifest = send_batch(site, items)
    assert list(files) == ["001.wav", "happy.mp3", "book.1.flac", "004.pcm"]
    for (_, audio), item in zip(files.items(), items, strict=True):
        assert audio == speak(site, **{name: value for name, value in item.items() if name != "id"})
    assert (manifest["total"], manifest["succeeded"], manifest["failed"]) == (4, 4, 0)
    assert [item["file"] for item in manifest["items"]] == list(files)
    for item in manifest["items"]:
        assert (item["status"], item["error"], item["voice"], item["revision"]) == (200, None, "toy", toy.digest)
    seconds = len(files["004.pcm"]) / 2 / toy.manifest.sample_rate
    assert manifest["items"][3]["audio_seconds"] == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("bad", "status", "code", "message_part"),
    [
        ({"input": ""}, 400, "empty_text", "input is empty"),
        ({"input": "好", "emotion": "bored"}, 400, "cannot_speak", "it has: neutral, happy"),
        ({"input": "好", "voice": "nobody"}, 404, "unknown_voice", "there are: toy"),
        ({"input": "好", "lexicon": {"好": "xi9"}}, 400, "cannot_speak", "not a pinyin syllable"),
        ({"input": "<speak>", "ssml": True}, 400, "cannot_speak", "line 1, column 8"),
        ({"input": "好" * 4097}, 413, "text_too_long", "split the text"),
        ({}, 422, "invalid_value", "input: Field required"),
        ({"input": "好", "speed": 9}, 422, "invalid_value", "speed: "),
        ({"input": "好", "response_format": "ogg"}, 422, "invalid_value", "response_format: "),
        ({"input": "好", "stream": True}, 422, "invalid_value", "stream: Extra inputs"),
        ({"input": "好", "id": "../x"}, 422, "invalid_value", "id: "),
        ({"input": "好", "id": ".hidden"}, 422, "invalid_value", "id: "),
        ({"input": "好", "id": "FIRST"}, 422, "invalid_value", "another item has the id"),
        ({"input": "好", "id": "001"}, 422, "invalid_value", "id: "),
        ({"id": "first", "faults": []}, 422, "invalid_value", "input: Field required"),
        ("好", 422, "invalid_value", "item: "),
        (None, 422, "invalid_value", "item: "),
    ],
)
def test_an_invalid_item_fails_no_other(site, bad, status, code, message_part):
    items = [{"input": "你好。"}, {"id": "first", "input": "再见。"}, bad, {"input": "好的。"}]
    if bad == {"input": "好", "id": "001"}:
        message_part = "another item has the id '001'"
    files, manifest = send_batch(site, items)
    assert [name.partition(".")[0] for name in files] == ["001", "first", "004"]
    assert all(files.values())
    assert (manifest["total"], manifest["succeeded"], manifest["failed"]) == (4, 3, 1)
    item = manifest["items"][2]
    assert (item["status"], item["error"]["code"], item["file"]) == (status, code, None)
    assert message_part in item["error"]["message"]


def test_an_invalid_item_keeps_its_id(site):
    _, manifest = send_batch(site, [{"id": "a", "input": 3}, {"id": "b/c", "input": 3}])
    assert [item["id"] for item in manifest["items"]] == ["a", "002"]
    assert manifest["failed"] == 2


@pytest.mark.parametrize(
    ("body", "status", "message_part"),
    [
        ({}, 422, "items: Field required"),
        ({"items": []}, 422, "items: "),
        ({"items": [{"input": "好"}] * 65}, 422, "items: "),
        ({"items": "好"}, 422, "items: "),
        ({"items": [{"input": "好" * 4000}] * 5}, 413, "at most 16384"),
        ({"items": [{"input": "好"}], "voice": "toy"}, 422, "voice: Extra inputs"),
    ],
)
def test_an_invalid_batch_is_refused(site, body, status, message_part):
    code, _, answer = site.call("POST", PATH, body)
    error = json.loads(answer)["error"]
    assert code == status
    assert message_part in error["message"]


def test_at_most_four_items_are_synthesized_at_once_with_a_late_deadline(site, backend):
    send_batch(site, [{"input": text} for text in TEXTS])
    assert backend.max_running <= 4
    assert {request.due_seconds for request in backend.requests} == {30.0}


TEXTS = [f"第{number}句。" for number in range(1, 20)]


def test_finished_items_are_sent_while_others_are_synthesized(site, backend):
    backend.blocked = frozenset(TEXTS[1:])
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=DEADLINE_SECONDS)
    body = json.dumps({"items": [{"input": text} for text in TEXTS]})
    connection.request("POST", PATH, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    beginning = answer.read1()
    assert beginning[30:37] == b"001.mp3"
    wait_until(lambda: backend.running == 4)
    assert [request.text for request in backend.requests] == TEXTS[:5]
    backend.blocked = frozenset()
    with zipfile.ZipFile(io.BytesIO(beginning + answer.read())) as archive:
        assert len(archive.namelist()) == len(TEXTS) + 1
    connection.close()


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_closing_the_connection_cancels_the_work(site, backend):
    backend.blocked = frozenset(TEXTS)
    body = json.dumps({"items": [{"input": text} for text in TEXTS]}).encode()
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: backend.running == 4)
    wait_until(lambda: backend.running == 0)
    backend.blocked = frozenset()
    assert len(backend.requests) == 4


def test_an_item_waits_while_at_capacity_and_reports_a_lost_replica(site, backend, monkeypatch):
    backend.failures = {
        "第一句。": [AtCapacityError(retry_after=0), AtCapacityError(retry_after=0)],
        "第二句。": [UnavailableError("no replica")],
    }
    items = [{"input": text} for text in ("第一句。", "第二句。", "第三句。")]
    files, manifest = send_batch(site, items)
    assert list(files) == ["001.mp3", "003.mp3"]
    assert (manifest["items"][1]["status"], manifest["items"][1]["error"]["code"]) == (503, "unavailable")
    monkeypatch.setattr("kubevoice_serving.http.routes.batches.AT_CAPACITY_SECONDS", 0.0)
    backend.failures = {"第一句。": [AtCapacityError(retry_after=0)] * 9}
    files, manifest = send_batch(site, items)
    assert (manifest["items"][0]["status"], manifest["items"][0]["error"]["code"]) == (429, "busy")
    assert len(files) == 2


def test_every_item_counts_towards_the_rate_limit_of_its_caller(site, tmp_path):
    key, line = generate_key("mei")
    (tmp_path / "keys").write_text(line.text)
    site.access.configure(AccessConfig(keys_file=tmp_path / "keys", requests_per_minute=3))
    assert site.call("POST", PATH, {"items": [{"input": "好"}]})[0] == 401
    headers = {"Authorization": f"Bearer {key}"}
    assert len(send_batch(site, [{"input": "好"}] * 2, **headers)[0]) == 2
    status, response_headers, body = site.call("POST", PATH, {"items": [{"input": "好"}] * 2}, **headers)
    assert (status, json.loads(body)["error"]["code"]) == (429, "rate_limited")
    assert 0 < int(response_headers["Retry-After"]) <= 40
    site.access.configure(AccessConfig(keys_file=tmp_path / "keys", requests_per_minute=2))
    status, _, body = site.call("POST", PATH, {"items": [{"input": "好"}] * 4}, **headers)
    assert (status, json.loads(body)["error"]["code"]) == (413, "rate_exceeded")


def test_metrics_count_every_item_as_speech(site):
    def count_synthesized():
        lines = site.call("GET", "/metrics")[2].decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith("kubevoice_synthesis_seconds_count"))

    speak(site, input="好。")
    before = count_synthesized()
    send_batch(site, [{"input": "你好。"}, {"input": "再见。"}, {"input": ""}])
    assert count_synthesized() == before + 2
    assert f'route="{PATH}",status="200"' in site.call("GET", "/metrics")[2].decode()


def test_the_document_describes_items_and_the_manifest(site):
    schemas = json.loads(site.call("GET", "/openapi.json")[2])["components"]["schemas"]
    assert {"id", "input", "response_format", "emotion"} <= set(schemas["BatchItem"]["properties"])
    assert schemas["BatchRequest"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/BatchItem"}
    assert {"BatchResultManifest", "BatchItemResult"} <= set(schemas)


def test_a_zip_stream_frees_what_was_sent_and_every_header_has_a_size():
    archive = ZipStream()
    parts = [archive.add_entry(f"{number}.bin", bytes([number]) * 10_000) for number in range(3)]
    assert all(10_000 < len(part) < 10_100 for part in parts)
    assert len(archive._buffer.pop()) == 0
    for part in parts:  # the local header: signature, version, flags, method, time, date, sum, sizes
        _, _, flags, method, _, _, _, packed, size = struct.unpack_from("<IHHHHHIII", part)
        assert (flags & 8, method, packed, size) == (0, 0, 10_000, 10_000)
    with zipfile.ZipFile(io.BytesIO(b"".join(parts) + archive.finish())) as unzipped:
        assert unzipped.testzip() is None
        assert [unzipped.read(name)[:1] for name in unzipped.namelist()] == [b"\0", b"\1", b"\2"]
