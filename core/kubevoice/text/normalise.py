"""Stage two: everything written in figures, signs and letters becomes words."""

import re
from functools import cache
from typing import Any

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


@cache
def _fallback() -> Any:
    from wetext import Normalizer  # imported when first needed: it loads transducers

    # Erhua and interjections are spoken; the defaults would delete them.
    return Normalizer(lang="zh", operator="tn", remove_erhua=False, remove_interjections=False)


def _digit_by_digit(found: re.Match[str]) -> str:
    return "".join(DIGITS.get(c, "" if c in "-:： " else c) for c in found[0])


def normalise(text: str) -> str:
    """Write out numbers, dates, units, signs and Latin letters; serial and telephone numbers digit by digit."""
    text = SERIAL.sub(_digit_by_digit, text).replace("°C", "℃").replace("°F", "℉")
    if re.search(r"[0-9A-Za-z%+=&@#°×÷$¥€£]", text):
        text = str(_fallback().normalize(text))
    text = "".join(DIGITS.get(c, SIGNS.get(c, c)) for c in text)
    return re.sub(r"[A-Za-z]", lambda letter: LETTERS[letter[0].upper()], text)
