"""Stage two: everything written in figures, signs and letters becomes words."""

import difflib
import re
from functools import cache
from typing import Any

from kubevoice.text.traced import Origin, Traced

__all__ = ["normalise"]

LETTERS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        [
            "诶",
            "必",
            "西",
            "第",
            "伊",
            "艾弗",
            "吉",
            "艾尺",
            "艾",
            "杰",
            "开",
            "艾勒",
            "艾姆",
            "恩",
            "欧",
            "屁",
            "寇",
            "啊",
            "艾丝",
            "提",
            "优",
            "微",
            "达布溜",
            "艾克斯",
            "歪",
            "贼德",
        ],
        strict=True,
    )
)
"""Chinese syllables nearest to the letters' English names."""
DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
SIGNS = {"%": "百分号", "+": "加", "=": "等于", "&": "和", "@": "艾特", "#": "井号", "°": "度", "×": "乘", "÷": "除以"}
SERIAL = re.compile(
    r"(?<=号码)[:：]?\s*\d{5,}|(?<=电话)[:：]?\s*[\d-]{7,}|(?<=编号)[:：]?\s*\d{3,}|(?<!\d)1[3-9]\d{9}(?!\d)"
)
DEGREES = re.compile("°[CF]")
LEFT = re.compile(rf"[0-9A-Za-z{''.join(SIGNS)}]")


@cache
def _fallback() -> Any:
    from wetext import Normalizer  # imported when first needed: it loads transducers

    # Erhua and interjections are spoken; the defaults would delete them.
    return Normalizer(lang="zh", operator="tn", remove_erhua=False, remove_interjections=False)


def _digit_by_digit(found: re.Match[str]) -> str:
    return "".join(DIGITS.get(c, "" if c in "-:： " else c) for c in found[0])


def _aligned(text: Traced, spoken: str) -> Traced:
    """Trace what the library made of a text by what the two have in common."""
    origins: list[Origin] = [None] * len(spoken)
    for block in difflib.SequenceMatcher(None, text.text, spoken, autojunk=False).get_matching_blocks():
        origins[block.b : block.b + block.size] = text.origins[block.a : block.a + block.size]
    return Traced(spoken, tuple(origins))


def normalise(text: Traced) -> Traced:
    """Write out numbers, dates, units, signs and Latin letters; serial and telephone numbers digit by digit."""
    text = text.sub(SERIAL, _digit_by_digit).sub(DEGREES, lambda found: "℃" if found[0] == "°C" else "℉")
    if re.search(r"[0-9A-Za-z%+=&@#°×÷$¥€£]", text.text):
        text = _aligned(text, str(_fallback().normalize(text.text)))
    return text.sub(LEFT, lambda found: DIGITS.get(found[0]) or SIGNS.get(found[0]) or LETTERS[found[0].upper()])
