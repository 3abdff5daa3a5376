"""Readings and pauses in plain text, SSML that nobody announced, and tags that are silent."""

import time

import pytest
from kubevoice.errors import InputError
from kubevoice.text import FrontEndConfig, Passage, analyse, parse_text, read_document
from kubevoice.text.inline_hints import parse_hints
from kubevoice.text.ssml import Break

PLAIN = FrontEndConfig()


def pinyin(text, **settings):
    sentences = analyse(text, FrontEndConfig(**settings)).sentences
    return " ".join(s.pinyin for sentence in sentences for word in sentence.words for s in word.syllables)


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("这一<行|hang2>不行", "zhe4 yi4 hang2 bu5 xing2"),
        ("这一行[hang2]不行", "zhe4 yi4 hang2 bu5 xing2"),
        ("**重庆[zhong4 qing4]**好", "zhong4 qing4 hao3"),
        ("长[cháng]吗", "chang2 ma5"),
        ("重庆[chóngqìng]", "chong2 qing4"),
        ("用<iPhone|ai4 feng1>打", "yong4 ai4 feng1 da3"),
        ("你好[停顿:0.5s]再见[pause:200ms]", "ni2 hao3 zai4 jian4"),
        # Footnotes, lists and comparisons are no hints.
        ("文献[1]好", "wen2 xian4 yi4 hao3"),
        ("文献[A1]好", "wen2 xian4 ei1 yi4 hao3"),
    ],
)
def test_hints_set_readings(text, reading):
    assert pinyin(text) == reading


@pytest.mark.parametrize("text", ["行[hang2](http://a.cn)", "好[hang2 hang2]", "行[hang]", "行[hang9]", "[hang2]行"])
def test_what_is_no_hint_is_read(text):
    assert "hang" in "".join(sentence.normalized for sentence in analyse(text).sentences)


def test_hints_can_be_switched_off():
    assert pinyin("行[hang2]").split() == ["hang2"]
    assert pinyin("行[hang2]", hints=False).split()[0] == "xing2"


def test_a_hint_is_read_by_a_voice_that_knows_english():
    assert pinyin("用<iPhone|ai4 feng1>", english="phones") == "yong4 ai4 feng1"


def test_a_pause_is_a_silence():
    parts = read_document(parse_text("你好[停顿:0.5s]再见[停顿：1秒]。"))
    assert [part.seconds if isinstance(part, Break) else part.sentence.text for part in parts] == [
        "你好",
        0.5,
        "再见",
        1.0,
    ]
    with pytest.raises(InputError, match="at most 20 s"):
        analyse("你好[停顿:21s]")


def test_words_after_hints_keep_their_places():
    text = "# 他\n这一行[hang2]**好**[停顿:1s]吗"
    syllables = analyse(text).as_dict()["pinyin"]
    assert all(text[s["offset"]] == s["char"] for s in syllables)
    assert "".join(s["char"] for s in syllables) == "他这一行好吗"


@pytest.mark.parametrize("text", ["<a|" * 2000, "一[a" * 2000, "一[" + "a" * 5000, "[停顿:" * 2000, "一[a1]" * 2000])
def test_repeated_hints_cost_little(text):
    began = time.process_time()
    parse_hints(text, PLAIN)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("before", ["", "\n", "\ufeff", '<?xml version="1.0"?>'])
def test_a_document_needs_no_announcement(before):
    document = before + '<speak version="1.0">你好<break time="1s"/>再见</speak>\n'
    parts = read_document(parse_text(document))
    assert [part.seconds if isinstance(part, Break) else part.sentence.text for part in parts] == ["你好", 1.0, "再见"]
    assert all(document[s["offset"]] == s["char"] for s in analyse(document).as_dict()["pinyin"])


def test_a_document_that_is_wrong_is_refused_with_its_place():
    with pytest.raises(InputError, match="line 1, column"):
        analyse("<speak>你好<break></speak>")


@pytest.mark.parametrize(
    "text",
    ["<speak>你好。", "他写<speak>你好</speak>", "<speaker>你好</speaker>", "<b>你好</b>", "你好<break time='1s'/>"],
)
def test_other_tags_are_silent_with_a_notice(text):
    analysis = analyse(text)
    assert all(isinstance(part, Passage) for part in read_document(parse_text(text)))
    assert "".join(w.text for s in analysis.sentences for w in s.words) in ("你好", "他写你好")
    (notice,) = analysis.notices
    assert text[notice.column - 1] == "<"
    assert "SSML" in notice.message


@pytest.mark.parametrize("text", ["若a<b，则c>d", "5 < 6", "`你好`", "```\n<b>\n```\n你好"])
def test_what_is_no_tag_has_no_notice(text):
    assert not analyse(text).notices
