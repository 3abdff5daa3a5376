"""Neutral tones of words, and where the same characters are other words."""

import pytest
from kubevoice.text import FrontEndConfig, analyse, has_neutral_tones


def base(text, **settings):
    sentences = analyse(text, FrontEndConfig(**settings)).sentences
    return " ".join(s.base for sentence in sentences for word in sentence.words for s in word.syllables)


@pytest.mark.parametrize(
    "text",
    [
        "东西",
        "衣服",
        "认识",
        "漂亮",
        "厉害",
        "休息",
        "豆腐",
        "舒服",
        "朋友",
        "告诉",
        "事情",
        "时候",
        "先生",
        "学生",
        "晚上",
        "喜欢",
        "窗户",
        "眼睛",
        "头发",
        "清楚",
        "明白",
        "便宜",
        "热闹",
        "麻烦",
        "客气",
        "力气",
        "打听",
        "打扮",
        "收拾",
        "商量",
        "玻璃",
        "葡萄",
        "妈妈",
        "这么",
        "我们",
        "男朋友",
        "买东西",
    ],
)
def test_the_last_syllable_of_a_word_is_neutral(text):
    assert base(text)[-1] == "5"


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("朋友圈", "peng2 you5 quan1"),
        ("衣服很漂亮", "yi1 fu5 hen3 piao4 liang5"),
        # Other words, or parts of them.
        ("东西方文化", "dong1 xi1 fang1 wen2 hua4"),
        ("东西两侧", "dong1 xi1 liang3 ce4"),
        ("亲朋友好", "qin1 peng2 you3 hao3"),
        ("贻笑大方", "yi2 xiao4 da4 fang1"),
        ("佩服", "pei4 fu2"),
        ("利息", "li4 xi1"),
        ("医生", "yi1 sheng1"),
    ],
)
def test_the_word_decides(text, reading):
    assert base(text) == reading


def test_recordings_with_full_tones_switch_them_off():
    assert base("买衣服", neutral_tones=False) == "mai3 yi1 fu2"
    assert base("我们", neutral_tones=False) == "wo3 men5"
    assert not has_neutral_tones("# ours\n# neutral tones: off\n重庆\tchong2 qing4\n")
    assert has_neutral_tones("# neutral\n重庆\tchong2 qing4\n")
