"""What a request may say about how its text is read."""

import json

import pytest
from http_app import serve_app

HINTED, FENCED = "一行[hang2]字。[停顿:1s]好。", "看。\n```\n代码。\n```\n好。"


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


def analyze(site, text, **fields):
    status, _, body = site.call("POST", "/v1/text/analyze", {"text": text} | fields)
    assert status == 200, body
    return json.loads(body)


def speak(site, text, **fields):
    status, _, body = site.call("POST", "/v1/audio/speech", {"input": text, "response_format": "wav"} | fields)
    assert status == 200, body[:300]
    return body


def test_hints_can_be_turned_off(site):
    assert "hang" not in analyze(site, HINTED)["normalized"]
    assert "hang" in analyze(site, HINTED, hints=False)["normalized"]
    assert speak(site, HINTED, hints=None) == speak(site, HINTED) != speak(site, HINTED, hints=False)


def test_fenced_code_is_read_on_request(site):
    assert "代码" not in analyze(site, FENCED)["normalized"]
    assert "代码" in analyze(site, FENCED, keep_code=True)["normalized"]
    assert len(speak(site, FENCED, keep_code=True)) > len(speak(site, FENCED))


@pytest.mark.parametrize(("fields", "line"), [({}, "一行字。"), ({"hints": False}, "一行[hang2]字。")])
def test_subtitles_have_what_was_read(site, fields, line):
    status, _, body = site.call("POST", "/v1/audio/subtitles", {"input": HINTED, "format": "srt"} | fields)
    assert status == 200
    assert line in body.decode().splitlines()
