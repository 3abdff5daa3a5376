"""The Chinese front end: readings and units of text."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kubevoice.errors import InputError
from kubevoice.text import FrontEndConfig, UnitTables, analyse
from kubevoice.text.syllables import get_phones
from kubevoice.text.units import build_word_units, parse_units


def pinyin(text, **settings):
    return " ".join(
        s for sentence in analyse(text, FrontEndConfig(**settings)).sentences for w in sentence.words for s in w.pinyin
    )


def join_normalized(text):
    return "".join(sentence.normalized for sentence in analyse(text).sentences)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("2024年5月1日", "二零二四年五月一日"),
        ("气温25.5°C", "气温二十五点五摄氏度"),
        ("占50%", "占百分之五十"),
        ("一共100元", "一共一百元"),
        ("电话13800138000", "电话幺三八零零幺三八零零零"),
        ("下午3:30见", "下午三点三十分见"),
        ("AI很好", "AI很好"),
        ("電腦", "电脑"),
        ("\ufeff哈😀哈", "哈哈"),
    ],
)
def test_figures_signs_and_letters_become_words(written, spoken):
    assert join_normalized(written) == spoken


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("你好", "ni2 hao3"),  # two third tones
        ("不对", "bu2 dui4"),
        ("不好", "bu4 hao3"),
        ("一个", "yi2 ge4"),
        ("一天", "yi4 tian1"),
        ("看一看", "kan4 yi5 kan4"),
        ("第一名", "di4 yi1 ming2"),
        ("一、二、三", "yi1 er4 san1"),
        ("银行行长", "yin2 hang2 hang2 zhang3"),  # one character, two readings
        ("长大", "zhang3 da4"),
        ("重庆", "chong2 qing4"),
        ("花儿", "huar1"),
        ("女儿", "nv3 er2"),
        ("AI很好", "ei1 ai4 hen2 hao3"),
        ("我用ChatGPT", "wo3 yong4 qie4 te4 ji2 pi4 ti2"),
    ],
)
def test_readings_and_tones_in_context(text, reading):
    assert pinyin(text) == reading


def test_each_syllable_names_its_character_in_the_input():
    syllables = analyse("\ufeff我買了3個花儿，不对。").as_dict()["pinyin"]
    assert [(s["char"], s["offset"]) for s in syllables] == [
        ("我", 1), ("买", 2), ("了", 3), ("三", None), ("个", 5), ("花儿", 6), ("不", 9), ("对", 10),
    ]  # fmt: skip
    assert (syllables[6]["base"], syllables[6]["pinyin"]) == ("bu4", "bu2")


def test_a_lexicon_overrules_the_dictionary():
    assert pinyin("重庆", lexicon={"重庆": ("zhong4", "qing4")}) == "zhong4 qing4"


def test_units_carry_breaks_tones_and_places():
    (sentence,) = analyse("你好，朋友。").sentences
    assert [unit.sy for unit in sentence.units] == [
        "n_c",
        "i_c",
        "h_c",
        "ao_c",
        "#3",
        "p_c",
        "eng_c",
        "y_c",
        "ou_c",
        "#4",
    ]
    assert str(sentence.units[0]) == "{n_c$tone2$s_begin$word_begin}"
    assert str(sentence.units[-1]) == "{#4$tone_none$s_none$word_none}"


def test_text_is_cut_into_sentences_and_long_ones_at_pauses():
    assert [s.text for s in analyse("你好。再见！好吗？").sentences] == ["你好。", "再见！", "好吗？"]
    long = analyse("，".join(["今天天气真好"] * 40) + "。").sentences
    assert len(long) > 1
    assert all(len(s.text) <= 120 for s in long)


@pytest.mark.parametrize("text", ["", "   ", "😀", "!!!", "\x00\x01"])
def test_text_without_speech_is_refused(text):
    with pytest.raises(InputError, match="nothing that can be spoken"):
        analyse(text)


def test_a_character_without_a_reading_is_passed_over_and_named():
    analysis = analyse("你好한，\n𪀀café")
    assert "".join(sentence.normalized for sentence in analysis.sentences) == "你好，cafe"
    assert [(n.message.split("'")[1], n.line, n.column) for n in analysis.notices] == [("한", 1, 3), ("𪀀", 2, 1)]
    with pytest.raises(InputError, match="한"):
        analyse("你好한", FrontEndConfig(strict=True))
    assert pinyin("𪀀野", lexicon={"𪀀": ("ji2",)}, strict=True) == "ji2 ye3"


@pytest.mark.parametrize(
    ("text", "reading"), [("𠮷野家", "ji2 ye3 jia1"), ("䤈", "xi1"), ("𫟿", "cha1"), ("𢆍", "cha1")]
)
def test_rare_characters_have_readings(text, reading):
    assert pinyin(text, strict=True) == reading


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60))
@example("﷽" * 20)
@example("1" * 60)
@example("你\ud7ff好\u200b")
def test_any_text_is_spoken_or_refused(text):
    try:
        analysis = analyse(text)
    except InputError:
        return
    for sentence in analysis.sentences:
        ids = UnitTables.load().encode(sentence.units)
        assert len({len(row) for row in ids.values()}) == 1
        assert sentence.units[-1].sy == "#4"


syllables = st.sampled_from(["ni3", "hao3", "zhong1", "er2", "huar1", "lv4", "a1", "xiong2"])


@given(st.lists(syllables, min_size=1, max_size=5))
def test_units_survive_being_written_and_read(word):
    units = build_word_units(word)
    assert parse_units(" ".join(map(str, units))) == units
    assert sum(len(get_phones(s[:-1])) for s in word) == len(units)


def test_faulty_units_are_named():
    with pytest.raises(InputError, match="needs the fields"):
        parse_units("{n_c$tone1}")
    with pytest.raises(InputError, match="zz_c"):
        UnitTables.load().encode(parse_units("{zz_c$tone1$s_begin$word_begin}"))
