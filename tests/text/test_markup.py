"""Markup in plain text is silent, and what only looks like it stays."""

import time

import pytest
from kubevoice.text import analyse
from kubevoice.text.markup import strip_markup
from kubevoice.text.traced_text import TracedText


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("### 结论\n内容", "结论\n内容"),
        ("> 引用的话", "引用的话"),
        ("- **第一**点\n* 第二点\n- [x] 第三点", "第一点\n第二点\n第三点"),
        ("1. 打开\n12) 关闭", "1、打开\n12、关闭"),
        ("看[这里](https://a.cn/b(c)?x=1 '题')吧", "看这里吧"),
        ("![图](a.png)后", "图后"),
        ("| 名称 | 价格 |\n|---|---|\n| 苹果 | 5元 |", "名称，价格\n\n苹果，5元"),
        ("代码：\n```python\nprint('你好')\n```\n结束", "代码：\n\n结束"),
        ("代码：\n```\nx = 1", "代码：\n"),
        ("用`pip`命令，~~删~~_留_***改***", "用pip命令，删留改"),
        ("<b>粗</b>体<br/>换<!-- 注 -->行", "粗体\n换行"),
        ("AT&amp;T&nbsp;很好", "AT&T\xa0很好"),
        ('你好<break time="1s"/>再见', "你好，再见"),
        ("<prosody rate='+10%'>快</prosody>", "快"),
        ("#春节#快乐", "春节快乐"),
    ],
)
def test_the_words_remain(written, words):
    stripped = strip_markup(TracedText.from_input(written))
    assert stripped.text == words
    kept = [(c, written[o]) for c, o in zip(stripped.text, stripped.origins, strict=True) if o is not None]
    assert all(now == before for now, before in kept)


@pytest.mark.parametrize(
    "text",
    [
        "> 5%的人",
        "若a<b，则c>d",
        "3*4*5=60",
        "C#语言",
        "-5度",
        "snake_case",
        "|x|的绝对值",
        "3.5倍",
        "第1.2节",
        "5 < 6",
        "x_1和x_2",
    ],
)
def test_what_is_no_markup_stays(text):
    assert strip_markup(TracedText.from_input(text)).text == text


def test_code_can_be_kept():
    written = "代码：\n```python\nprint(1)\n```\n好\n~~~\n甲"
    assert strip_markup(TracedText.from_input(written), keep_code=True).text == "代码：\nprint(1)\n\n好\n\n甲"


def test_the_places_of_words_are_those_of_the_input():
    syllables = analyse("**重**庆，<b>你</b>好").as_dict()["pinyin"]
    assert [(s["char"], s["offset"]) for s in syllables] == [("重", 2), ("庆", 5), ("你", 10), ("好", 15)]
    assert syllables[0]["pinyin"] == "chong2"


@pytest.mark.parametrize("sign", ["*", "[", "<a ", "`", "```\n", "|", "#", "> ", "- ", "_a", "&#"])
def test_repeated_signs_cost_little(sign):
    began = time.process_time()
    strip_markup(TracedText.from_input(sign * (3000 // len(sign))))
    assert time.process_time() - began < 1
