"""Long text is cut into sentences, and text that comes in pieces into the same ones."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kubevoice.text import Passage, analyse, read_document
from kubevoice.text.segment import Splitter, split_sentences
from kubevoice.text.ssml import parse
from kubevoice.text.traced_text import TracedText

TEXT = st.text(st.sampled_from("你好再见。！？…，、；“”「」（）《》\n ab"), max_size=400)


def split_text(text):
    return [sentence.text for sentence in split_sentences(TracedText.from_input(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好。再见！好吗？", ["你好。", "再见！", "好吗？"]),
        ("他说：“你好。再见。”走了。", ["他说：“你好。再见。”", "走了。"]),
        ("他说（真的！很好）吧。好", ["他说（真的！很好）吧。", "好"]),
        ("真的吗？！……好", ["真的吗？！……", "好"]),
        ("“没有关上。好\n第二行", ["“没有关上。好", "第二行"]),
    ],
)
def test_where_sentences_end(text, expected):
    assert split_text(text) == expected


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\u2028"])
def test_a_line_of_plain_text_ends_its_sentence(end):
    sentences = analyse(f"标题{end}今天是2026年{end}11月。").sentences
    assert [sentence.text for sentence in sentences] == ["标题", "今天是二零二六年", "十一月。"]


def test_a_line_of_a_document_ends_nothing():
    (passage,) = read_document(parse("<speak>今天\n天气好。</speak>"))
    assert isinstance(passage, Passage)
    assert passage.sentence.text.split() == ["今天", "天气好。"]


@given(TEXT)
@example("“" + "好。" * 300)
def test_nothing_is_lost_or_doubled(text):
    sentences = split_text(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(len(sentence) <= 120 for sentence in sentences)


@given(TEXT, st.lists(st.integers(0, 400), max_size=12))
@example("“" + "好。" * 300, [1, 2, 119, 120, 121])
def test_pieces_make_the_same_sentences(text, places):
    splitter = Splitter()
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    sentences = [s for a, b in pairwise(edges) for s in splitter.feed(text[a:b])] + splitter.flush()
    assert [s.strip() for s in sentences if s.strip()] == split_text(text)


def test_a_sentence_is_returned_as_soon_as_it_cannot_change():
    splitter = Splitter()
    assert splitter.feed("你好。") == []
    assert splitter.feed("再") == ["你好。"]
    assert splitter.flush() == ["再"]


def test_a_hundred_thousand_characters():
    text = "今天天气真好，我们去公园吧。" * 7_200
    assert "".join(split_text(text)) == text
    assert len(analyse(text[:14_000]).sentences) == 1_000
