"""For any input the response is speech, or a client error in the documented form."""

import json
import resource

import pytest
import schemathesis
from http_app import make_app, serve_app
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

ERROR_FIELDS = {"message", "type", "code", "param", "problems"}
CALLS = [("/v1/audio/speech", "input"), ("/v1/text/analyze", "text"), ("/api/tts", "text")]


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


def read_message(path, body):
    """Check the form of an error, and return its message."""
    error = json.loads(body)["error"]
    if path.startswith("/api/"):
        assert isinstance(error, str)
        return error
    assert set(error) == ERROR_FIELDS
    return error["message"]


def nest_arrays(depth, inner=b"1"):
    return b"[" * depth + inner + b"]" * depth


@pytest.mark.parametrize(
    ("body", "status", "message_part"),
    [
        (b"", 422, "Field required"),
        (b"{", 400, "not JSON"),
        (b'{"FIELD": "a"', 400, "not JSON"),
        (b'{"FIELD": "\xff\xfe"}', 400, "not in UTF-8"),
        (nest_arrays(50_000), 400, "nested too deeply"),
        (b'{"FIELD": ' + nest_arrays(50_000) + b"}", 400, "nested too deeply"),
        (b'{"FIELD": ' + nest_arrays(300) + b"}", 422, "FIELD: Input should be a valid string"),
        (b'{"FIELD": "\xe5\xa5\xbd", "speed": ' + b"1" * 5_000 + b"}", 400, "too many digits"),
        (b"null", 422, "body: "),
        (b"[1]", 422, "body: "),
        (b'{"FIELD": 3}', 422, "FIELD: Input should be a valid string"),
        (b'{"FIELD": null}', 422, "FIELD: Input should be a valid string"),
        (b'{"FIELD": "\xe5\xa5\xbd", "colour": 1}', 422, "colour: Extra inputs are not permitted"),
        (b'{"FIELD": "\xe5\xa5\xbd\\ud83d\xe5\xa5\xbd"}', 422, "character 1 is half a surrogate pair"),
        (b'{"FIELD": "' + b"a" * (10 << 20) + b'"}', 413, "send less text"),
    ],
)
@pytest.mark.parametrize(("path", "field"), CALLS)
def test_invalid_bodies(site, path, field, body, status, message_part):
    actual, _, response = site.call("POST", path, body.replace(b"FIELD", field.encode()))
    if not body and path == "/api/tts":
        message_part = "Field required"
    assert (actual, message_part.replace("FIELD", field) in read_message(path, response)) == (status, True), response


@pytest.mark.parametrize("stream", [False, True])
def test_no_text(site, stream):
    actual, _, response = site.call("POST", "/v1/audio/speech", {"input": "", "stream": stream})
    assert (actual, read_message("/v1", response)) == (400, "input is empty; send text to speak")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400, "[]", '"fast"'])
@pytest.mark.parametrize("field", ["speed", "pitch", "volume", "intensity"])
def test_invalid_numbers(site, field, number):
    body = f'{{"input": "你好。", "{field}": {number}}}'
    actual, _, response = site.call("POST", "/v1/audio/speech", body.encode())
    assert actual == 422
    assert read_message("/v1", response).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("fields", "status", "message_part"),
    [
        ({"voice": "nobody"}, 404, "there are: toy"),
        ({"voice": "\ud800"}, 404, "there are: toy"),
        ({"voice": {"id": 3}}, 422, "voice: "),
        ({"emotion": "bored"}, 400, "it has: neutral, happy"),
        ({"emotion": ""}, 400, "it has: neutral, happy"),
        ({"speaker": 10**40}, 400, "give 0 to 1"),
        ({"speaker": -1}, 400, "give 0 to 1"),
        ({"response_format": "ogg"}, 422, "'mp3', 'wav'"),
        ({"lexicon": {"好": "\0"}}, 400, "not a pinyin syllable"),
        ({"lexicon": {str(n): "a1" for n in range(201)}}, 422, "at most 200"),
        ({"input": "<speak>\0</speak>", "ssml": True}, 400, "line 1"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_unknown_values(site, fields, status, message_part, stream):
    body = {"input": "你好。", "stream": stream} | fields
    actual, _, response = site.call("POST", "/v1/audio/speech", body)
    assert actual == status
    assert message_part in read_message("/v1", response)


def test_a_full_disk_fails_only_recordings(tmp_path, toy):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serve_app(tmp_path, toy) as site:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            status, headers, body = site.call("POST", "/api/tts", {"text": "你好。"})
            speech_status = site.call("POST", "/v1/audio/speech", {"input": "你好。"})[0]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (status, headers["Retry-After"]) == (503, "60")
        assert "the recording cannot be stored" in read_message("/api/tts", body)
        assert speech_status == 200
        assert list((tmp_path / "recordings").iterdir()) == []
        assert site.call("POST", "/api/tts", {"text": "你好。"})[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/audio/speech", 405),
        ("DELETE", "/v1/voices", 405),
        ("GET", "/nothing", 404),
        ("GET", "/%ed%a0%80", 404),
        ("GET", "/audio/%00.wav", 404),
        ("GET", "/audio/..%2f..%2fetc%2fpasswd.wav", 404),
        ("GET", f"/audio/{'x' * 5_000}.wav", 404),
        ("GET", "/webui/..%2fapi.py", 404),
    ],
)
def test_unknown_paths_and_methods(site, method, path, status):
    actual, _, response = site.call(method, path)
    assert actual == status
    assert read_message(path, response)


def test_unusual_characters_do_not_fail_the_rest_of_a_text(site):
    for text in ("你\0好。", "你好😀。", "你\u202e好。", "9" * 4_096):
        assert site.call("POST", "/v1/audio/speech", {"input": text, "response_format": "wav", "speed": 4})[0] == 200


@pytest.fixture(scope="module")
def operations(tmp_path_factory, toy):
    """The operations of the OpenAPI document by method and path, each bound to the application."""
    app, *_ = make_app(tmp_path_factory.mktemp("operations"), toy)
    results = schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations()
    documented = (result.ok() for result in results)
    return {f"{operation.method.upper()} {operation.path}": operation for operation in documented}


OPERATIONS = [
    "POST /v1/audio/speech",
    "POST /v1/audio/subtitles",
    "POST /v1/text/analyze",
    "POST /api/tts",
    "POST /v1/audio/speech/batch",
    "GET /v1/audio/speech/stream",
    "GET /audio/{recording}.wav",
    *("GET /v1/audio/voices", "GET /v1/audio/models"),
    *(
        "GET /v1/voices",
        "GET /v1/models",
        "GET /v1/models/{model}",
        "GET /v1/revisions",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
    ),
]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_valid_or_invalid_request_is_a_server_error(operations, operation, mode):
    statuses = set()

    @given(operations[operation].as_strategy(generation_mode=mode))
    @settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
    def check(case):
        response = case.call()
        statuses.add(response.status_code)
        assert response.status_code < 500
        if response.status_code >= 400:
            read_message(case.path, response.content)

    try:
        check()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # a request without parameters cannot be invalid
    else:
        assert statuses


def test_every_operation_of_the_document_is_tested(operations):
    assert set(OPERATIONS) == set(operations)
