"""Access control: API keys that change while the service runs, rate and body limits, and CORS."""

import json
import logging
import os
import socket
import time

import pytest
from http_app import serve_app
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import AccessConfig
from kubevoice_cli.client import KEY_VARIABLE, fetch_speech
from kubevoice_serving.http.api_keys import ApiKeyEntry, find_key, generate_key, parse_keys
from kubevoice_serving.http.body_limit import MAX_BODY_BYTES
from kubevoice_serving.http.rate_limits import MAX_CALLERS, RateLimiter

DEADLINE_SECONDS = 10.0
SPEECH = {"input": "你好。", "response_format": "wav"}


@pytest.fixture(scope="module")
def server(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


@pytest.fixture
def site(server, monkeypatch):
    """The site, with frequent reads of the keys file; the access rules are reset after the test."""
    monkeypatch.setattr("kubevoice_serving.http.api_keys.REREAD_SECONDS", 0.1)
    yield server
    server.access.configure(AccessConfig())


def make_headers(key):
    return {"Authorization": f"Bearer {key}"}


def read_error(response):
    return json.loads(response[2])["error"]


def wait_for(check):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def site_with_key(site, tmp_path):
    """The site with a key of mei, the path of the keys file, and the key."""
    path = tmp_path / "keys"
    key, line = generate_key("mei")
    path.write_text(f"# who may call\n\n{line.text}\n")
    site.access.configure(AccessConfig(keys_file=path))
    return site, path, key


def test_without_a_keys_file_anybody_may_call(site):
    assert site.call("POST", "/v1/audio/speech", SPEECH)[0] == 200


def test_only_callers_with_a_key_may_call(site_with_key):
    site, _, key = site_with_key
    assert site.call("POST", "/v1/audio/speech", SPEECH, **make_headers(key))[0] == 200
    assert site.call("GET", "/v1/voices", authorization=f"bearer  {key} ")[0] == 200
    for headers in ({}, make_headers(""), {"Authorization": f"Basic {key}"}, {"Authorization": key}):
        response = site.call("POST", "/v1/audio/speech", SPEECH, **headers)
        assert (response[0], read_error(response)["code"]) == (401, "missing_api_key")
        assert response[1]["WWW-Authenticate"].startswith("Bearer ")
    for wrong in (key[:-1], key + "x", key.upper(), "sk-é", parse_keys(site_with_key[1].read_bytes())[0].digest):
        response = site.call("POST", "/v1/audio/speech", SPEECH, **make_headers(wrong))
        assert (response[0], read_error(response)["code"], read_error(response)["type"]) == (
            401,
            "invalid_api_key",
            "invalid_request_error",
        )
    status, headers, body = site.call("POST", "/api/tts", {"text": "你好。"})
    assert (status, list(json.loads(body))) == (401, ["error"])
    assert headers["WWW-Authenticate"].startswith("Bearer ")


def test_the_command_line_reads_its_key_from_the_environment(site_with_key, monkeypatch):
    site, _, key = site_with_key
    monkeypatch.setenv(KEY_VARIABLE, key)
    assert fetch_speech(f"http://127.0.0.1:{site.port}", SPEECH).startswith(b"RIFF")
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(InputError, match=r"refused \(401\): an API key is needed"):
        fetch_speech(f"http://127.0.0.1:{site.port}", SPEECH)


@pytest.mark.parametrize(
    "path",
    ["/v1/voices", "/v1/models", "/audio/0f8fad5bd9cb469fa16570867728950e.wav", "/nothing", "//healthz", "/healthz/x"],
)
def test_every_other_path_needs_a_key(site_with_key, path):
    assert site_with_key[0].call("GET", path)[0] == 401


@pytest.mark.parametrize(
    "path", ["/", "/webui/app.js", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/revisions"]
)
def test_the_page_and_the_paths_of_probes_and_the_operator_stay_open(site_with_key, path):
    assert site_with_key[0].call("GET", path)[0] == 200


def test_a_changed_secret_takes_effect_without_a_restart(site, tmp_path):
    """The kubelet updates a mounted Secret by replacing a link to its folder."""
    (old, old_line), (new, new_line) = generate_key("mei"), generate_key("mei")

    def publish(version, *lines):
        folder = tmp_path / version
        folder.mkdir()
        (folder / "keys").write_text("".join(f"{line.text}\n" for line in lines))
        os.utime(folder / "keys", (0, 0))
        (tmp_path / "..data_tmp").symlink_to(version)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    def is_accepted(key):
        return site.call("GET", "/v1/voices", **make_headers(key))[0] == 200

    publish("version-1", old_line)
    (tmp_path / "keys").symlink_to("..data/keys")
    site.access.configure(AccessConfig(keys_file=tmp_path / "keys"))
    assert (is_accepted(old), is_accepted(new)) == (True, False)
    publish("version-2", old_line, new_line)
    wait_for(lambda: is_accepted(new))
    assert is_accepted(old)
    publish("version-3", new_line)
    wait_for(lambda: not is_accepted(old))
    assert is_accepted(new)


@pytest.mark.parametrize("content", [None, b"", b"# nobody\n", b"mei kv-secret\n", b"\xff\xfe\n", b"x" * (2 << 20)])
def test_an_unusable_file_refuses_everybody_and_is_logged(site_with_key, content, caplog):
    site, path, key = site_with_key
    assert site.call("GET", "/v1/voices", **make_headers(key))[0] == 200
    before = path.read_bytes()
    with caplog.at_level(logging.ERROR, "kubevoice_serving.http.api_keys"):
        path.unlink() if content is None else path.write_bytes(content)
        wait_for(lambda: site.call("GET", "/v1/voices", **make_headers(key))[0] != 200)
        response = site.call("GET", "/v1/voices", **make_headers(key))
        assert (response[0], read_error(response)["code"]) == (503, "keys_unavailable")
        assert response[1]["Retry-After"]
        assert site.call("GET", "/v1/voices")[0] == 401
    (record,) = caplog.records  # one record for all requests
    assert str(path) in record.getMessage()
    assert "kv-secret" not in record.getMessage()  # the file has the key instead of its digest
    path.write_bytes(before)
    wait_for(lambda: site.call("GET", "/v1/voices", **make_headers(key))[0] == 200)


def test_one_bad_line_makes_the_file_invalid(tmp_path):
    _, line = generate_key("mei")
    with pytest.raises(InputError, match="line 2 is not") as error_info:
        parse_keys(f"{line.text}\nmei sha256:123\n../x {line.text}\n".encode())
    assert len(error_info.value.problems) == 2
    with pytest.raises(InputError, match="mei and tom have the same key"):
        parse_keys(f"{line.text}\ntom sha256:{line.digest}\n".encode())


def test_a_key_is_recognized_by_its_digest():
    key, line = generate_key("mei")
    other, _ = generate_key("mei")
    assert key != other
    assert key not in line.text
    assert parse_keys(line.text.encode()) == (line,)
    assert find_key((line,), key) == line
    assert find_key((ApiKeyEntry("tom", "0" * 64), line), key) == line
    assert find_key((line,), other) is None


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "-a", "x" * 64, "美"])
def test_a_name_that_cannot_be_in_a_line_is_refused(name):
    with pytest.raises(InputError, match="is not a valid name of a key"):
        generate_key(name)


def test_metrics_have_the_names_of_keys_and_never_keys(site_with_key):
    site, _, key = site_with_key
    site.call("GET", "/v1/voices", **make_headers(key))
    metrics = site.call("GET", "/metrics")[2].decode()
    assert 'kubevoice_key_requests_total{key="mei"}' in metrics
    assert key not in metrics


def test_each_key_has_its_own_rate_limit(site, tmp_path):
    (mei, mei_line), (tom, tom_line) = generate_key("mei"), generate_key("tom")
    path = tmp_path / "keys"
    path.write_text(f"{mei_line.text}\n{tom_line.text}\n")
    site.access.configure(AccessConfig(keys_file=path, requests_per_minute=2))
    assert [site.call("GET", "/v1/voices", **make_headers(mei))[0] for _ in range(3)] == [200, 200, 429]
    response = site.call("POST", "/v1/audio/speech", SPEECH, **make_headers(mei))
    assert (response[0], read_error(response)["code"]) == (429, "rate_limited")
    assert 0 < int(response[1]["Retry-After"]) <= 30
    assert site.call("GET", "/v1/voices", **make_headers(tom))[0] == 200
    assert site.call("GET", "/healthz")[0] == 200


def test_without_keys_each_address_has_a_rate_limit(site):
    site.access.configure(AccessConfig(requests_per_minute=1))
    assert [site.call("GET", "/v1/voices")[0] for _ in range(2)] == [200, 429]
    # The server accepts this header only from this machine, so a test can use it for another address.
    assert [site.call("GET", "/v1/voices", x_forwarded_for="10.0.0.1")[0] for _ in range(2)] == [200, 429]


def test_a_bucket_refills_up_to_the_requests_of_a_minute():
    limiter = RateLimiter(60)
    assert [limiter.acquire("a", 0.0) for _ in range(61)] == [0] * 60 + [1]
    assert [limiter.acquire("a", 2.0) for _ in range(3)] == [0, 0, 1]
    assert [limiter.acquire("a", 1e6) for _ in range(61)] == [0] * 60 + [1]
    assert RateLimiter(1).acquire("b", 0.0) == 0
    slow = RateLimiter(1)
    slow.acquire("a", 0.0)
    assert slow.acquire("a", 15.0) == 45
    assert slow.acquire("a", 60.0) == 0


def test_the_number_of_buckets_is_bounded():
    limiter = RateLimiter(1)
    for number in range(MAX_CALLERS + 100):
        limiter.acquire(str(number), 0.0)
    assert len(limiter._buckets) == MAX_CALLERS
    assert limiter.acquire(str(MAX_CALLERS), 0.0) > 0


PREFLIGHT = {"Origin": "https://app.example.com", "Access_Control_Request_Method": "POST"}


def test_scripts_of_other_sites_may_call_only_if_configured(site_with_key):
    site, path, key = site_with_key
    origin = PREFLIGHT["Origin"]
    assert "Access-Control-Allow-Origin" not in site.call("GET", "/v1/voices", Origin=origin, **make_headers(key))[1]
    site.access.configure(AccessConfig(keys_file=path, cors_origins=(origin,)))
    preflight = PREFLIGHT | {"Access_Control_Request_Headers": "authorization, x-stainless-os"}
    status, headers, _ = site.call("OPTIONS", "/v1/audio/speech", **preflight)
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert "authorization" in headers["Access-Control-Allow-Headers"]
    status, headers, _ = site.call("POST", "/v1/audio/speech", SPEECH, Origin=origin, **make_headers(key))
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert "X-Revision" in headers["Access-Control-Expose-Headers"]
    status, headers, _ = site.call("GET", "/v1/voices", Origin=origin)
    assert (status, headers["Access-Control-Allow-Origin"]) == (401, origin)  # so that the script can read why
    other_origin = PREFLIGHT | {"Origin": "https://evil.example.com"}
    assert "Access-Control-Allow-Origin" not in site.call("OPTIONS", "/v1/audio/speech", **other_origin)[1]


def test_a_body_with_too_large_a_length_is_refused_before_it_is_read(site):
    """The request announces ten megabytes and sends none; the response comes without them."""
    response = site.call("POST", "/v1/audio/speech", b"", Content_Length=str(10 << 20))
    assert (response[0], read_error(response)["code"]) == (413, "body_too_large")


def test_a_chunked_body_beyond_the_limit_is_refused_while_it_is_sent(site):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        head = "POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(MAX_BODY_BYTES // 0x10000 + 1):
            connection.sendall(chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_has_the_same_limit(site):
    body = json.dumps(SPEECH | {"input": "你好。"}).encode()
    assert site.call("POST", "/v1/audio/speech", iter([body[:20], body[20:]]))[0] == 200
    half = b" " * (MAX_BODY_BYTES // 2)
    response = site.call("POST", "/v1/audio/speech", iter([half, half, b" "]))
    assert (response[0], read_error(response)["code"]) == (413, "body_too_large")
