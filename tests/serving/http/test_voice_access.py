"""API keys that may use some of the voices."""

import io
import json
import zipfile

import pytest
from http_app import serve_app
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import AccessConfig
from kubevoice_serving.http.api_keys import generate_key, parse_keys
from toy_voice import make_toy_voice
from websocket_client import open_websocket

NAMES = ("anna", "bert", "carl")


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    folder = tmp_path_factory.mktemp("site")
    bundles = {name: make_toy_voice(folder / name, name, own_graphs=True) for name in NAMES}
    voices = [{"name": name, "revision": bundle.digest, "uri": str(bundle.path)} for name, bundle in bundles.items()]
    config = {"voices": voices, "residency": {"memoryMegabytes": 64, "idleSeconds": 3600}}
    clients = {"aliases": {"first": {"voice": "anna"}, "second": {"voice": "bert"}, "any": {}}}
    with serve_app(folder, toy, voices=config, clients=clients) as server:
        keys, lines = {}, []
        for name, allowed in {"all": (), "two": ("bert", "anna"), "gone": ("dora",)}.items():
            keys[name], line = generate_key(name, allowed)
            lines.append(line.text)
        (folder / "keys").write_text("\n".join(lines))
        server.access.configure(AccessConfig(keys_file=folder / "keys"))
        server.keys = keys
        yield server


def call(site, key, method, path, body=None):
    return site.call(method, path, body, authorization=f"Bearer {site.keys[key]}")


def speak(site, key, **fields):
    return call(site, key, "POST", "/v1/audio/speech", {"input": "你好。", "response_format": "pcm"} | fields)


@pytest.mark.parametrize(
    ("voice", "spoken"),
    [("anna", "anna"), ("bert", "bert"), (None, "bert"), ("nova", "bert"), ("first", "anna"), ("any", "bert")],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_key_speaks_with_its_voices_and_the_first_is_its_default(site, voice, spoken, stream):
    status, headers, _ = speak(site, "two", voice=voice, stream=stream)
    assert (status, headers["X-Voice"]) == (200, spoken)


@pytest.mark.parametrize("voice", ["carl", "nobody", "Anna"])
@pytest.mark.parametrize("fields", [{"stream": True}, {"stream": False}, {"stream_format": "sse"}])
def test_another_voice_is_refused_whether_it_exists_or_not(site, voice, fields):
    status, _, body = speak(site, "two", voice=voice, **fields)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (403, "voice_not_allowed", "voice")
    assert error["message"] == f"this API key may not use a voice {voice!r}; it may use: bert, anna"


def test_every_route_with_a_voice_refuses_another_one(site):
    for path, fields in {
        "/v1/audio/subtitles": {"input": "你好。"},
        "/v1/text/analyze": {"text": "你好。"},
    }.items():
        assert call(site, "two", "POST", path, fields | {"voice": "carl"})[0] == 403
        assert call(site, "two", "POST", path, fields | {"voice": "anna"})[0] == 200
    items = [{"input": "你好。", "voice": voice, "response_format": "pcm"} for voice in ("carl", "anna")]
    _, _, body = call(site, "two", "POST", "/v1/audio/speech/batch", {"items": items})
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(body)).read("manifest.json"))
    assert [(item["error"] or {}).get("code") for item in manifest["items"]] == ["voice_not_allowed", None]


@pytest.mark.parametrize(("voice", "end"), [("carl", (4403, "voice_not_allowed")), ("anna", (1000, ""))])
def test_a_websocket_refuses_another_voice(site, voice, end):
    headers = {"Authorization": f"Bearer {site.keys['two']}"}
    with open_websocket(site.url, additional_headers=headers) as connection:
        connection.send("start", voice=voice)
        connection.send("text", text="你好。")
        connection.send("end")
        assert connection.receive_until_closed() == end


def test_lists_have_only_the_voices_of_the_key(site):
    voices = json.loads(call(site, "two", "GET", "/v1/voices")[2])["voices"]
    assert [(voice["name"], voice["default"]) for voice in voices] == [("anna", False), ("bert", True)]
    assert len(json.loads(call(site, "all", "GET", "/v1/voices")[2])["voices"]) == 3
    names = [voice["id"] for voice in json.loads(call(site, "two", "GET", "/v1/audio/voices")[2])["voices"]]
    assert names == ["anna", "bert", "first", "second", "any"]
    names = [voice["id"] for voice in json.loads(call(site, "gone", "GET", "/v1/audio/voices")[2])["voices"]]
    assert names == ["any"]
    assert call(site, "two", "GET", "/v1/models/anna")[0] == 200
    status, _, body = call(site, "two", "GET", "/v1/models/carl")
    assert (status, "carl" in json.loads(body)["error"]["message"].partition(";")[2]) == (404, False)


def test_a_key_whose_voice_is_gone_does_not_learn_the_others(site):
    status, _, body = speak(site, "gone")
    assert status == 404
    assert json.loads(body)["error"]["message"] == "there is no voice 'dora'; there are: none"


def test_a_key_without_voices_may_use_all(site):
    for name in NAMES:
        assert speak(site, "all", voice=name)[0] == 200
    assert speak(site, "all", voice="nobody")[0] == 404


def test_a_line_of_the_keys_file_names_the_voices():
    _, line = generate_key("mei", ["anna", "小美"])
    assert line.text.endswith(" voices=anna,小美")
    assert parse_keys(line.text.encode()) == (line,)
    for wrong in ("", "a b", "a,b"):
        with pytest.raises(InputError, match="no space and no comma"):
            generate_key("mei", [wrong])
    empty = line.text.removesuffix("anna,小美")
    for wrong in (f"{line.text},", line.text.replace("voices=", "voice="), f"{line.text} x", empty):
        with pytest.raises(InputError, match="line 1 is not NAME sha256"):
            parse_keys(wrong.encode())
    other = line.text.replace("anna", "bert")
    with pytest.raises(InputError, match="two lines have the same key of mei and different voices"):
        parse_keys(f"{line.text}\n{other}".encode())
