"""Times of words and bookmarks, and subtitles with them."""

import asyncio
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from kubevoice.engine import Controls, Engine, build_script, synthesize_text
from kubevoice.engine.timing import SentenceTime, Timing, WordTime, time_parts
from kubevoice.errors import InputError
from kubevoice.subtitles import LINE, Cue, build_cues, to_srt, to_vtt
from kubevoice_serving.http.access import AccessControl
from kubevoice_serving.http.application import create_app
from kubevoice_serving.http.recordings import Recordings
from kubevoice_serving.replica.synthesizer import Synthesizer
from kubevoice_serving.routing.caching_backend import CachingBackend

LONG = "我有100元，今天天气真好，我们一起去公园里面散步吧，好不好？你想去<哪里>&呢。"
MARKED = (
    '<speak>我们<mark name="a"/>去&amp;<mark name="b"/><break time="1s"/><mark name="c"/>银行<mark name="d"/></speak>'
)


@pytest.fixture(scope="module")
def engine(toy):
    return Engine.load(toy.path)


def compute_times(engine, text, *, ssml=False, **controls):
    return time_parts(engine, build_script(engine, text, ssml=ssml).parts, Controls(**controls))


def list_words(timing):
    return [word for sentence in timing.sentences for word in sentence.words]


@pytest.mark.parametrize("controls", [{}, {"speed": 2.0}, {"emotion": "happy", "speed": 0.7}, {"speaker": "second"}])
@pytest.mark.parametrize(("text", "ssml"), [(LONG, False), (MARKED, True)])
def test_times_end_with_the_audio(engine, text, ssml, controls):
    timing = compute_times(engine, text, ssml=ssml, **controls)
    audio = synthesize_text(engine, text, Controls(**controls), ssml=ssml)
    assert timing.duration * engine.sample_rate == pytest.approx(len(audio))
    assert timing.sentences[-1].end == pytest.approx(timing.duration)
    edges = [edge for word in list_words(timing) for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    for word in list_words(timing):
        assert (word.characters[0].start, word.characters[-1].end) == (word.start, word.end)


def test_the_pause_between_sentences_is_silent_and_words_are_not(engine):
    timing = compute_times(engine, "你好。再见。")
    audio = synthesize_text(engine, "你好。再见。", Controls())
    first, second = timing.sentences
    silence = slice(round(first.end * engine.sample_rate), round(second.start * engine.sample_rate))
    assert silence.stop - silence.start == round(0.28 * engine.sample_rate)
    assert not audio[silence].any()
    assert np.abs(audio[: silence.start]).any()
    assert audio[silence.stop :].any()


def test_double_speed_halves_times(engine):
    slow, fast = (compute_times(engine, "你好。再见。", speed=speed) for speed in (0.5, 1.0))
    for before, after in zip(list_words(slow), list_words(fast), strict=True):
        assert after.start == pytest.approx(before.start / 2, abs=1e-3)
        assert after.end == pytest.approx(before.end / 2, abs=1e-3)


def test_offsets_are_indices_into_the_written_text(engine):
    text = "我有100元，好。再见。"
    characters = [character for word in list_words(compute_times(engine, text)) for character in word.characters]
    assert all(text[c.offset] == c.char for c in characters if c.offset is not None)
    assert [c.char for c in characters if c.offset is None] == ["一", "百"]
    assert next(c for c in characters if c.char == "元").offset == text.index("元")


def test_a_break_shifts_what_follows_by_its_length(engine):
    before, after = (
        compute_times(engine, f'<speak>你好<break time="{seconds}s"/>再见</speak>', ssml=True) for seconds in (1, 3)
    )
    assert list_words(before)[0] == list_words(after)[0]
    assert list_words(after)[-1].start - list_words(before)[-1].start == pytest.approx(2.0)
    assert after.duration - before.duration == pytest.approx(2.0)


def test_the_time_of_a_bookmark_is_between_those_of_its_words(engine):
    timing = compute_times(engine, MARKED, ssml=True)
    times = {bookmark.name: bookmark.time for bookmark in timing.bookmarks}
    words = list_words(timing)
    assert list(times) == ["a", "b", "c", "d"]
    assert words[0].end <= times["a"] <= words[1].start
    assert times["b"] == timing.sentences[0].end
    assert times["c"] == timing.sentences[1].start == pytest.approx(times["b"] + 1.0)
    assert times["d"] == timing.duration


def test_a_document_of_bookmarks_alone_is_an_error(engine):
    with pytest.raises(InputError, match="nothing that can be spoken"):
        compute_times(engine, '<speak><mark name="a"/></speak>', ssml=True)


def test_cues_are_the_written_text_cut_at_punctuation(engine):
    cues = build_cues(LONG, compute_times(engine, LONG))
    assert [cue.text for cue in cues] == [
        "我有100元，今天天气真好，", "我们一起去公园里面散步吧，好不好？", "你想去<哪里>&呢。",
    ]  # fmt: skip


def test_cues_of_a_document_have_its_text_without_markup(engine):
    document = (
        '<speak>我们<emphasis level="strong">一起</emphasis>&lt;去&gt;<!-- 不 --><sub alias="世界">WHO</sub>吧</speak>'
    )
    assert [cue.text for cue in build_cues(document, compute_times(engine, document, ssml=True), ssml=True)] == [
        "我们一起<去>WHO吧"
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("<行|hang2>不长。[停顿:0.5s]重庆[chong2 qing4]好。", ["行不长。", "重庆好。"]),
        ("### 结论\n- **第一**点，见[链接](http://a.b)。\n> `第二`点。", ["结论", "第一点，见链接。", "第二点。"]),
        ("我<b>们</b>[不是提示]，a < b。", ["我们[不是提示]，a < b。"]),
    ],
)
def test_cues_of_plain_text_have_neither_hints_nor_signs_of_markdown(engine, text, lines):
    assert [cue.text for cue in build_cues(text, compute_times(engine, text))] == lines


def test_srt_and_webvtt_formats():
    cues = [Cue("1 < 2 & 3。", 0.0, 1.2345), Cue("好。", 3661.5, 3662.0)]
    assert to_srt(cues) == ("1\n00:00:00,000 --> 00:00:01,234\n1 < 2 & 3。\n\n2\n01:01:01,500 --> 01:01:02,000\n好。\n")
    assert to_vtt(cues) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.234\n1 &lt; 2 &amp; 3。\n\n01:01:01.500 --> 01:01:02.000\n好。\n"
    )


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from("我们银行“”（），。！？ \n<&"), min_size=1, max_size=90).map("".join))
def test_cues_are_in_order_and_have_all_of_the_text(text):
    characters = [(offset, char) for offset, char in enumerate(text) if char in "我们银行"]
    if not characters:
        return
    words = tuple(WordTime(char, offset, n / 2, n / 2 + 0.4, ()) for n, (offset, char) in enumerate(characters))
    half = len(words) // 2
    parts = [part for part in (words[:half], words[half:]) if part]
    sentences = [
        SentenceTime("", part[0].offset, part[-1].offset + 1, part[0].start, part[-1].end, part) for part in parts
    ]
    duration = words[-1].end
    cues = build_cues(text, Timing(duration, tuple(sentences), ()))
    edges = [0.0, *(edge for cue in cues for edge in (cue.start, cue.end)), duration]
    assert edges == sorted(edges)
    assert "".join("".join(cue.text.split()) for cue in cues) == "".join(text.split())
    assert all(len(cue.text) <= LINE or sum(char in "我们银行" for char in cue.text) < LINE for cue in cues)


def test_the_route_returns_the_times_of_its_speech(toy, engine, tmp_path):
    replica = Synthesizer(tmp_path / "cache")
    voices = [{"name": "toy", "revision": toy.digest, "uri": str(toy.path)}]
    asyncio.run(replica.reconfigure({"voices": voices, "default": "toy"}))
    client = TestClient(create_app(CachingBackend(replica), Recordings(tmp_path / "recordings"), AccessControl()))

    def request_subtitles(**body):
        return client.post("/v1/audio/subtitles", json=body)

    subtitles = request_subtitles(input=MARKED, ssml=True, speed=2.0)
    srt, vtt = (request_subtitles(input=LONG, format=kind) for kind in ("srt", "vtt"))
    wrong, empty = request_subtitles(input="你好", emotion="bored"), request_subtitles(input="")
    audio = synthesize_text(engine, MARKED, Controls(speed=2.0), ssml=True)
    assert subtitles.json()["duration"] == pytest.approx(len(audio) / engine.sample_rate)
    assert [bookmark["name"] for bookmark in subtitles.json()["bookmarks"]] == ["a", "b", "c", "d"]
    assert subtitles.headers["X-Revision"] == toy.digest
    assert srt.text == to_srt(build_cues(LONG, compute_times(engine, LONG)))
    assert (vtt.headers["Content-Type"], vtt.text[:7]) == ("text/vtt; charset=utf-8", "WEBVTT\n")
    assert (wrong.status_code, empty.status_code) == (400, 400)
    assert "it has: neutral, happy" in json.loads(wrong.content)["error"]["message"]
