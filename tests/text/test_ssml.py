"""SSML: what a document asks for, what is refused and where."""

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubevoice.errors import InputError
from kubevoice.text import Passage, read_document
from kubevoice.text.ssml import Break, Mark, Speech, Style, parse

DOCUMENT = """<speak xml:lang="zh-CN"><p>你好，<mstts:express-as style="cheerful" styledegree="1.5">我很<emphasis
level="strong">高兴</emphasis></mstts:express-as>。</p><phoneme alphabet="py" ph="chong2 zhang3">重长</phoneme>来
<break time="500ms"/><mark name="here"/><prosody rate="+20%" pitch="-2st" volume="+6dB">快<prosody
rate="0.5">慢</prosody></prosody><sub alias="世界卫生组织">WHO</sub><say-as interpret-as="digits">12</say-as></speak>"""


def styles(document):
    return {s.text: s.style for s in parse(document).spans if isinstance(s, Speech)}


def test_styles_nest_and_silences_and_marks_stand_where_they_are():
    document = parse(DOCUMENT)
    parts = styles(DOCUMENT)
    assert (parts["我很"].emotion, parts["我很"].intensity) == ("happy", 1.5)
    assert parts["高兴"].emotion == "happy"
    assert parts["高兴"].volume > 1
    assert parts["快"].rate == pytest.approx(1.2)
    assert parts["慢"].rate == pytest.approx(0.6)
    assert (parts["慢"].pitch, round(parts["快"].volume, 2)) == (-2, 2.0)
    assert [span for span in document.spans if isinstance(span, Mark)] == [Mark("here")]
    assert Break(0.5) in document.spans
    assert not document.notices


def test_the_reading_obeys_and_every_syllable_names_its_place_in_the_document():
    passages = [part for part in read_document(parse(DOCUMENT)) if isinstance(part, Passage)]
    syllables = [s for p in passages for word in p.sentence.words for s in word.syllables]
    pinyin = " ".join(s.pinyin for s in syllables)
    assert "chong2 zhang3 lai2" in pinyin
    assert pinyin.endswith("shi4 jie4 wei4 sheng1 zu3 zhi1 yi1 er4")
    assert all(s.offset is None or DOCUMENT[s.offset] == s.char[0] for s in syllables)
    assert sum(s.offset is not None for s in syllables) > 8
    for passage in passages:
        assert len(passage.styles) == len(passage.sentence.units)


def test_a_sentence_goes_on_through_its_elements():
    plain = read_document(parse("<speak>我们去银行取钱</speak>"))
    marked = read_document(parse("<speak>我们去<emphasis>银行</emphasis>取钱</speak>"))
    assert [p.sentence.units for p in plain] == [p.sentence.units for p in marked]
    assert len(set(marked[0].styles)) == 2


@pytest.mark.parametrize(
    ("document", "style"),
    [
        ('<speak rate="500" pitch="500" volume="100">好</speak>', Style(rate=2.0, pitch=12.0, volume=2.0)),  # Aliyun
        ('<speak><emotion category="sad" intensity="0.5">好</emotion></speak>', Style(emotion="sad", intensity=0.5)),
        ('<speak><google:style name="lively">好</google:style></speak>', Style(emotion="happy")),
        ('<speak><emotion category="开心">好</emotion></speak>', Style(emotion="happy")),
        ('<speak><emotion category="撒娇">好</emotion></speak>', Style(emotion="撒娇")),
        ('<speak><voice name="mei">好</voice></speak>', Style(speaker="mei")),
        ('<speak><prosody pitch="400Hz">好</prosody></speak>', Style(pitch=12.0)),
        (
            '<speak><prosody rate="x-slow" pitch="high" volume="silent">好</prosody></speak>',
            Style(None, None, 1, 0.5, 3, 0),
        ),
    ],
)
def test_dialects(document, style):
    assert styles(document)["好"] == style


@pytest.mark.parametrize("ph", ["dian3 dang4", "dian 3 dang 4", "dian 3 - dang 4", "DIAN3 DANG4"])
def test_pinyin_is_taken_as_each_dialect_spells_it(ph):
    (span,) = parse(f'<speak><phoneme alphabet="sapi" ph="{ph}">典当</phoneme></speak>').spans
    assert span.pinyin == ("dian3", "dang4")


@pytest.mark.parametrize(("time", "seconds"), [("500ms", 0.5), ("1.5s", 1.5), ("250", 0.25)])
def test_times_are_taken_with_their_unit_or_in_milliseconds(time, seconds):
    assert parse(f'<speak>好<break time="{time}"/></speak>').spans[-1] == Break(seconds)


@pytest.mark.parametrize(
    ("document", "where", "what"),
    [
        ("<speak>你好", "line 1, column 10", "well-formed"),
        ("<speak>\n<break time='soon'/></speak>", "line 2, column 1", "500ms"),
        ("<text/>", "line 1, column 1", "<speak>"),
        ('<!DOCTYPE s [<!ENTITY a "b">]><speak>&a;</speak>', "line 1", "are refused"),
        ('<speak><audio src="http://host/a.wav"/></speak>', "line 1, column 8", "refused"),
        ('<speak><phoneme ph="ni3">你好</phoneme></speak>', "line 1", "1 syllables for 2"),
        ('<speak><phoneme ph="nnn3">你</phoneme></speak>', "line 1", "not a pinyin syllable"),
        ('<speak><prosody rate="quick">你</prosody></speak>', "line 1, column 8", "rate='quick'"),
        ('<speak><say-as interpret-as="date">many</say-as></speak>', "line 1", "write it like"),
        ("<speak>" + "<p>" * 10_000, "line 1", "deep"),
        ("<speak>" + "<b/>" * 30_000 + "</speak>", "line 1", "elements"),
        ('<speak a="' + "x" * 10_000 + '"/>', "line 1", "characters"),
        ('<speak a="' + "x" * 10_000_000 + '"/>', "", "split it"),
        ("<speak>\x00</speak>", "line 1, column 8", "well-formed"),
        ('<speak><w><audio src="http://host/a.wav"/></w></speak>', "line 1, column 11", "refused"),
        ("<speak>" + "<break time='20s'/>" * 16 + "</speak>", "line 1", "300 s of silence"),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(document, where, what):
    with pytest.raises(InputError) as refused:
        parse(document)
    assert where in str(refused.value)
    assert what in str(refused.value)


@pytest.mark.parametrize(
    "inside",
    [
        "你\r好\r\n吗",
        '<prosody volume="+99999dB">好</prosody>',
        '<prosody pitch="+99999st">好</prosody>',
        "好\ud800好",
        "<w>北<b>京</b>大</w>",
    ],
)
def test_odd_documents_are_read(inside):
    document = f'<speak rate="999999" pitch="-999999">{inside}</speak>'
    for passage in read_document(parse(document)):
        for word in passage.sentence.words:
            assert all(s.offset is None or document[s.offset] == s.char[0] for s in word.syllables)


def test_unknown_elements_keep_their_text_with_a_notice():
    document = parse('<speak>你<blink>好</blink><phoneme alphabet="ipa" ph="x">吗</phoneme></speak>')
    assert "".join(s.text for s in document.spans) == "你好吗"
    assert [(n.line, n.column) for n in document.notices] == [(1, 9), (1, 25)]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.text(max_size=8))
def test_a_damaged_document_is_read_or_refused(seed, noise):
    draw = random.Random(seed)  # noqa: S311  # no secret
    at = draw.randrange(len(DOCUMENT))
    damaged = DOCUMENT[:at] + noise + DOCUMENT[at + draw.randrange(12) :]
    with suppress(InputError):
        read_document(parse(damaged))
