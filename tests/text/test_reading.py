"""Readings of characters, the lexicon, sandhi and English."""

import json
from pathlib import Path

import pytest
from kubevoice.errors import InputError
from kubevoice.text import FrontEndConfig, UnitTables, analyse, read_lexicon
from kubevoice.text.english import get_english_phones, get_mandarin_syllables
from kubevoice.text.pinyin import parse_pinyin
from kubevoice.text.syllables import is_syllable

TABLE = Path(__file__).parent / "readings.tsv"
FRONTEND = Path(__file__).parents[3] / "shared" / "data" / "frontend"


def syllables(text, **settings):
    return [
        s
        for sentence in analyse(text, FrontEndConfig(**settings)).sentences
        for word in sentence.words
        for s in word.syllables
    ]


def pinyin(text, **settings):
    return " ".join(s.pinyin for s in syllables(text, **settings))


@pytest.mark.parametrize(
    ("text", "reading"),
    [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")],
)
def test_words_names_and_places(text, reading):
    assert " ".join(s.base for s in syllables(text)) == reading


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("他行事稳重", "ta1 xing2 shi4 wen3 zhong4"),
        ("音乐让人快乐", "yin1 yue4 rang4 ren2 kuai4 le4"),
        ("校长发现孩子长大了", "xiao4 zhang3 fa1 xian4 hai2 zi5 zhang3 da4 le5"),
        ("把地上的土扫干净", "ba3 di4 shang4 de5 tu3 sao3 gan1 jing4"),
        ("他觉得累得睡着了", "ta1 jue2 de5 lei4 de5 shui4 zhao2 le5"),
        ("孩子长高了", "hai2 zi5 zhang3 gao1 le5"),
        ("身长高度", "shen1 chang2 gao1 du4"),
        ("他还了钱", "ta1 huan2 le5 qian2"),
        ("他还了解情况", "ta1 hai2 liao3 jie3 qing2 kuang4"),
        ("把书还了", "ba3 shu1 huan2 le5"),
        ("水是五行之一", "shui3 shi4 wu3 xing2 zhi1 yi1"),
        ("写了五行字", "xie3 le5 wu3 hang2 zi4"),
        ("一行字", "yi1 hang2 zi4"),
        ("一行人", "yi1 xing2 ren2"),
        ("干一行爱一行", "gan4 yi1 hang2 ai4 yi1 hang2"),
        ("这一行的人", "zhe4 yi1 hang2 de5 ren2"),
        ("这一行人", "zhe4 yi1 xing2 ren2"),
        ("另起一行", "ling4 qi3 yi1 hang2"),
        ("一行有一行的规矩", "yi1 hang2 you3 yi1 hang2 de5 gui1 ju5"),
        ("第三行动小组", "di4 san1 xing2 dong4 xiao3 zu3"),
        ("同行是冤家", "tong2 hang2 shi4 yuan1 jia1"),
        ("一路同行", "yi1 lu4 tong2 xing2"),
        ("钱还了吗", "qian2 huan2 le5 ma5"),
        ("钱还没到", "qian2 hai2 mei2 dao4"),
        ("这得看情况", "zhe4 dei3 kan4 qing2 kuang4"),
        ("他得了第一", "ta1 de2 le5 di4 yi1"),
        ("重5kg", "zhong4 wu3 qian1 ke4"),
        ("非常长的路", "fei1 chang2 chang2 de5 lu4"),
        ("单先生和查老师", "shan4 xian1 sheng5 he2 zha1 lao3 shi1"),
        ("信任先生", "xin4 ren4 xian1 sheng5"),
        ("和面", "huo4 mian4"),
        ("水和面粉", "shui3 he2 mian4 fen3"),
        ("暖和的东阿县", "nuan3 huo5 de5 dong1 e1 xian4"),
        ("不会计较", "bu4 hui4 ji4 jiao4"),
    ],
)
def test_characters_of_several_readings(text, reading):
    assert " ".join(s.base for s in syllables(text)) == reading


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("我很好", "wo2 hen2 hao3"),
        ("五把雨伞", "wu2 ba3 yu2 san3"),
        ("展览馆", "zhan2 lan2 guan3"),
        ("小老虎", "xiao3 lao2 hu3"),
        ("统一战线", "tong3 yi1 zhan4 xian4"),
        ("同一个人", "tong2 yi2 ge4 ren2"),
        ("一月一号", "yi1 yue4 yi1 hao4"),
        ("看不见", "kan4 bu5 jian4"),
        ("试试看", "shi4 shi5 kan4"),
    ],
)
def test_tones_change_beside_other_tones(text, reading):
    assert pinyin(text) == reading


def test_the_base_is_the_reading_before_any_change():
    assert [(s.base, s.pinyin) for s in syllables("你好")] == [("ni3", "ni2"), ("hao3", "hao3")]


@pytest.mark.skipif(not FRONTEND.exists(), reason="needs ../shared/data/frontend")
def test_the_development_set_of_sandhi():
    rows = [json.loads(line) for line in (FRONTEND / "sandhi_dev.jsonl").read_text(encoding="utf-8").splitlines()]
    wrong = [row["text"] for row in rows if pinyin(row["text"]) != " ".join(row["pinyin"])]
    # Both of its characters have a third tone, so the first rises; the set has it unchanged.
    assert set(wrong) <= {"辗转反侧"}


def test_a_lexicon_comes_first_and_crosses_words():
    lexicon = read_lexicon("# ours\n重庆\tzhong4 qing4\n天气真\ttian4 qi1 zhen2\n\niPhone\tai4 feng1\n")
    assert pinyin("重庆天气真好，iPhone", lexicon=lexicon) == "zhong4 qing4 tian4 qi1 zhen2 hao3 ai4 feng1"


def test_every_wrong_line_of_a_lexicon_is_reported():
    with pytest.raises(InputError) as refused:
        read_lexicon("重庆 chong2\n好\thao9\n你\tni3\n你\tni3\n" + "字" * 40 + "\tzi4\n", "own.txt")
    assert [p.split(":")[0] for p in refused.value.problems] == [f"own.txt line {n}" for n in (1, 2, 4, 5)]


def test_english_has_phones_for_voices_that_know_it_and_mandarin_syllables_for_others():
    (sentence,) = analyse("我用Windows", FrontEndConfig(english="phones")).sentences
    assert [str(u) for u in sentence.units if u.tone in ("tone0", "tone1") and not u.sy.endswith("_c")] == [
        "{w$tone1$s_begin$word_begin}",
        "{ih$tone1$s_middle$word_middle}",
        "{n$tone1$s_end$word_middle}",
        "{d$tone0$s_begin$word_middle}",
        "{ow$tone0$s_middle$word_middle}",
        "{z$tone0$s_end$word_end}",
    ]
    UnitTables.load().encode(sentence.units)
    assert get_mandarin_syllables("hello") == ("ha1", "lou4")
    assert get_mandarin_syllables("CPU") == ("xi1", "pi4", "you1")


@pytest.mark.parametrize("word", ["strengths", "xyzzy", "blorf", "a", "don't", "HTTP", "queue", "zzz"])
def test_any_word_is_spoken(word):
    assert get_english_phones(word)
    assert get_mandarin_syllables(word)
    assert all(is_syllable(s[:-1]) and s[-1] in "12345" for s in get_mandarin_syllables(word))


@pytest.mark.parametrize(
    ("written", "syllables"),
    [
        ("chong2qing4", ("chong2", "qing4")),
        ("CHONG2 QING4", ("chong2", "qing4")),
        ("chóng qìng", ("chong2", "qing4")),
        ("chóngqìng", ("chong2", "qing4")),
        ("nǐmen", ("ni3", "men5")),
        ("xī'ān", ("xi1", "an1")),
        ("fāngàn", ("fan1", "gan4")),
        ("lǜ", ("lv4",)),
        ("lu:4 lü4 lv4", ("lv4", "lv4", "lv4")),
        ("ma0", ("ma5",)),
    ],
)
def test_pinyin_as_people_write_it(written, syllables):
    assert parse_pinyin(written) == syllables


@pytest.mark.parametrize("written", ["chong qing", "chong6", "xyz2", "xyzǎ", "3", "重2", "²"])
def test_what_is_no_pinyin_is_refused(written):
    with pytest.raises(InputError, match="pinyin"):
        parse_pinyin(written)


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("一拐一拐", "yi4 guai3 yi4 guai3"),
        ("一步一步", "yi2 bu4 yi2 bu4"),
        ("一边说一边写", "yi4 bian1 shuo1 yi4 bian1 xie3"),
        ("看著书", "kan4 zhe5 shu1"),
        ("著急", "zhao2 ji2"),
        ("著名作家的著作", "zhu4 ming2 zuo4 jia1 de5 zhu4 zuo4"),
        ("拨打110", "bo1 da3 yao1 yao1 ling2"),
    ],
)
def test_what_depends_on_a_word_around_it(text, reading):
    assert pinyin(text) == reading
