"""Talk of several speakers in one request."""

import io
import json
import zipfile

import numpy as np
import pytest
from http_app import serve_app
from kubevoice_serving.http.dialogue import DialogueTurn, build_document, split_turns

FIRST, SECOND = "今天天气真好。", "我们去公园吧。"


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


def speak(site, **fields):
    status, headers, body = site.call("POST", "/v1/audio/speech", {"response_format": "pcm"} | fields)
    assert status == 200, body
    return headers, np.frombuffer(body, "<i2")


def test_turns_have_their_speakers_emotions_and_pauses(site, toy):
    turns = [
        {"text": FIRST, "speaker": "second", "pause": 1.0},
        {"text": SECOND, "emotion": "happy", "speed": 1.5},
    ]
    _, audio = speak(site, turns=turns)
    _, first = speak(site, input=FIRST, speaker="second")
    _, second = speak(site, input=SECOND, emotion="happy", speed=1.5)
    silence = np.zeros(toy.manifest.sample_rate, "<i2")
    np.testing.assert_array_equal(audio, np.concatenate([first, silence, second]))


def test_tags_in_a_text_are_turns(site):
    _, tagged = speak(site, input=f"[voice:second]{FIRST}[voice:first]{SECOND}")
    turns = [{"text": FIRST, "speaker": "second"}, {"text": SECOND, "speaker": "first"}]
    np.testing.assert_array_equal(tagged, speak(site, turns=turns)[1])


def test_a_text_without_tags_has_no_turns():
    assert split_turns("[voice] [1]") is None
    assert split_turns("a[voice:b]c[voice:d] ") == (DialogueTurn(text="a"), DialogueTurn(text="c", speaker="b"))


def test_what_is_markup_in_words_and_names_is_not_markup():
    document = build_document([DialogueTurn(text="<a> & b", speaker='x"y<', emotion="<")])
    assert document == (
        "<speak><voice name='x\"y&lt;'>"
        '<emotion category="&lt;" intensity="1">&lt;a&gt; &amp; b</emotion>'
        "</voice></speak>"
    )


def test_characters_that_a_document_cannot_have_are_passed_over(site):
    assert np.array_equal(speak(site, turns=[{"text": f"\0{FIRST}\x01"}])[1], speak(site, input=FIRST)[1])


def test_speakers_that_the_voice_does_not_have_are_in_the_notices(site):
    headers, _ = speak(site, input=f"[voice:nobody]{FIRST}")
    (notice,) = json.loads(headers["X-Notices"])
    assert "has no speaker 'nobody'" in notice["message"]


def test_all_turns_have_times_in_one_audio(site):
    body = {"turns": [{"text": FIRST, "pause": 1.0}, {"text": SECOND}]}
    times = json.loads(site.call("POST", "/v1/audio/subtitles", body)[2])
    first, second = times["sentences"]
    assert (first["text"], second["text"]) == (FIRST, SECOND)
    assert second["start"] == pytest.approx(first["end"] + 1.0, abs=1e-3)


def test_a_batch_takes_turns(site):
    _, _, body = site.call("POST", "/v1/audio/speech/batch", {"items": [{"turns": [{"text": FIRST}]}]})
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert json.loads(archive.read("manifest.json"))["succeeded"] == 1


@pytest.mark.parametrize(
    ("fields", "param", "message_part"),
    [
        ({"turns": []}, "turns", "at least 1"),
        ({"turns": [{"text": FIRST}] * 101}, "turns", "at most 100"),
        ({"turns": [{"text": ""}]}, "turns.0.text", "at least 1"),
        ({"turns": [{"text": FIRST, "speed": 9}]}, "turns.0.speed", "less than or equal to 4"),
        ({"turns": [{"speaker": "first"}]}, "turns.0.text", "required"),
        ({"turns": [{"text": FIRST, "mood": "x"}]}, "turns.0.mood", "not permitted"),
        ({"turns": 3}, "turns", "tuple"),
        ({"turns": [{"text": "\ud800"}]}, "turns.0.text", "unicode"),
        ({"turns": [{"text": FIRST, "speaker": "\ud800"}]}, "turns.0.speaker", "surrogate"),
        ({"turns": [{"text": FIRST}], "input": FIRST}, "body", "not both"),
    ],
)
def test_invalid_turns(site, fields, param, message_part):
    status, _, body = site.call("POST", "/v1/audio/speech", fields)
    error = json.loads(body)["error"]
    assert (status, error["param"]) == (422, param)
    assert message_part in error["message"]
