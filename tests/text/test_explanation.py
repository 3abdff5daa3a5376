"""Corrections at two levels, brands, and the account of what decided each part of a text."""

import pytest
from kubevoice.errors import InputError
from kubevoice.text import FrontEndConfig, analyse, read_lexicon

LEXICON = read_lexicon("80后\t八零后用户\niPhone\t=爱疯\nWow\t=wow\n重庆\tzhong4 qing4\n")


def join_normalized(text, lexicon=LEXICON):
    return "".join(sentence.normalized for sentence in analyse(text, FrontEndConfig(lexicon)).sentences)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("80后", "八零后用户"),
        ("８０後", "八零后用户"),
        ("用iPhone", "用爱疯"),
        # No part of a longer word.
        ("180后", "一百八十后"),
        ("iPhones", "iPhones"),
    ],
)
def test_words_are_read_instead_of_words(written, spoken):
    assert join_normalized(written) == spoken


def test_both_levels_are_in_one_lexicon():
    syllables = [
        s.base for x in analyse("重庆80后", FrontEndConfig(LEXICON)).sentences for w in x.words for s in w.syllables
    ]
    assert syllables[:4] == ["zhong4", "qing4", "ba1", "ling2"]


@pytest.mark.parametrize("line", ["80后\t=", "80后\t=" + "长" * 33, "80后\t", "80后\thao"])
def test_what_is_neither_pinyin_nor_words_is_refused(line):
    with pytest.raises(InputError, match="line 1"):
        read_lexicon(line)


def test_rules_see_what_a_lexicon_puts_before_a_number():
    assert join_normalized("请按110", {"按": "拨打"}) == "请拨打幺幺零"


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Wi-Fi", "why fie"),
        ("C++", "C加加"),
        ("C#", "C sharp"),
        ("AC++", "AC加加"),
        ("WiFi6", "why fie 六"),
        ("iOS17.2", "i O S 十七点二"),
        ("用C++11写", "用C加加 十一写"),
        ("WiFinder", "WiFinder"),
    ],
)
def test_brands_are_read_by_a_table(written, spoken):
    assert join_normalized(written, {}) == spoken


def test_each_part_says_what_decided_it():
    text = "80后在2点20分用Wi-Fi，<行|hang2>不长"
    decisions = analyse(text, FrontEndConfig(LEXICON), explained=True).decisions
    explained = {(each.written, each.reading, each.by) for each in decisions}
    assert {
        ("80后", "八零后用户", "lexicon"),
        ("2点20分", "两点二十分", "rule: clock"),
        ("Wi-Fi", "why fie", "brands"),
        ("行", "hang2", "document"),
        ("不", "bu4", "sandhi"),
        ("长", "chang2", "network"),
    } <= explained
    assert all(each.offset is None or text.startswith(each.written, each.offset) for each in decisions)
    assert not analyse(text).decisions


def test_an_explained_document_has_its_own_places():
    text = "<speak>有<sub alias='3个'>三</sub>5人</speak>"
    decisions = analyse(text, explained=True).decisions
    assert ("5", "五") in {(each.written, each.reading) for each in decisions}
    assert all(each.offset is None or text.startswith(each.written, each.offset) for each in decisions)
