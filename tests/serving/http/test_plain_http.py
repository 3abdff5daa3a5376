"""What proxies, uptime checks and simple HTTP clients expect of the responses."""

import json
import re

import pytest
from http_app import serve_app


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/v1/voices", "/webui/app.js"])
def test_head_is_answered_as_get_without_the_body(site, path):
    status, headers, body = site.call("HEAD", path)
    expected, get_headers, get_body = site.call("GET", path)
    assert (status, body) == (expected, b"")
    assert headers["Content-Type"] == get_headers["Content-Type"]
    assert headers["Content-Length"] == str(len(get_body))


def test_head_is_counted_with_its_route(site):
    site.call("HEAD", "/healthz")
    metrics = site.call("GET", "/metrics")[2].decode()
    assert 'kubevoice_requests_total{method="HEAD",route="/healthz",status="200"}' in metrics


def test_head_of_a_route_for_post_is_refused(site):
    assert site.call("HEAD", "/v1/audio/speech")[0] == 405


@pytest.mark.parametrize(
    ("content_type", "problem"),
    [
        ("", "the request has no Content-Type"),
        ("application/x-www-form-urlencoded", "the Content-Type is application/x-www-form-urlencoded"),
        ("text/plain", "the Content-Type is text/plain"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/text/analyze", "/api/tts"])
def test_a_body_that_is_not_sent_as_json_is_refused_plainly(site, path, content_type, problem):
    status, _, body = site.call("POST", path, b'{"input": "a"}', Content_Type=content_type)
    error = json.loads(body)["error"]
    message = error if path.startswith("/api") else error["message"]
    assert status == 415
    assert message == f"{problem}; send the body as JSON with the header Content-Type: application/json"


@pytest.mark.parametrize("fields", [{"response_format": "mp3"}, {"stream_format": "sse"}])
def test_proxies_pass_a_stream_on_as_it_comes(site, fields):
    _, headers, _ = site.call("POST", "/v1/audio/speech", {"input": "你好。"} | fields)
    assert "no-transform" in headers["Cache-Control"]
    assert headers["X-Accel-Buffering"] == "no"


def test_proxies_pass_a_batch_on_as_it_comes(site):
    _, headers, _ = site.call("POST", "/v1/audio/speech/batch", {"items": [{"input": "你好。"}]})
    assert "no-transform" in headers["Cache-Control"]
    assert headers["X-Accel-Buffering"] == "no"


def test_the_page_of_the_api_loads_nothing_from_other_servers(site):
    status, headers, page = site.call("GET", "/docs")
    files = re.findall(r'(?:src|href|url)[=:] ?["\']([^"\']+)', page.decode())
    assert status == 200
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert {"webui/swagger/swagger-ui-bundle.js", "webui/swagger/swagger-ui.css", "openapi.json"} <= set(files)
    for file in files:
        assert site.call("GET", f"/{file}")[0] == 200
    assert site.call("GET", "/redoc")[0] == 404


def test_a_response_has_one_request_id(site):
    assert site.call("GET", "/healthz", X_Request_Id="mine")[1].get_all("X-Request-Id") == ["mine"]


def test_a_server_that_names_responses_itself_gets_no_second_id(tmp_path, toy):
    with serve_app(tmp_path, toy, name_responses=False) as site:
        assert site.call("GET", "/healthz", X_Request_Id="mine")[1].get_all("X-Request-Id") is None
