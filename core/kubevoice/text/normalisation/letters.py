"""Digits beside letters, names of signs, Roman numerals, and initialisms in small letters."""

import re

from kubevoice.text.normalisation.numbers import read_cardinal, read_digits
from kubevoice.text.normalisation.rule import rule

__all__ = ["NAMES", "RULES", "SIGNS", "read_beside_letters"]

NAMES = {"%": "百分号", "‰": "千分号", "+": "加", "=": "等于", "&": "和", "@": "艾特", "#": "井号", "°": "度", "×": "乘", "÷": "除以",
         "<": "小于", ">": "大于", "≥": "大于等于", "≤": "小于等于", "≠": "不等于", "≈": "约等于", "±": "正负", "√": "根号", "$": "美元",
         "¥": "元", "€": "欧元", "£": "英镑", "℃": "摄氏度", "℉": "华氏度", "²": "平方", "³": "立方", "∞": "无穷大", "π": "派",
         "α": "阿尔法", "β": "贝塔", "γ": "伽马", "δ": "德尔塔", "λ": "拉姆达", "μ": "谬", "σ": "西格玛", "Ω": "欧米伽", "θ": "西塔",
         "ω": "欧米伽", "^": "脱字符", "→": "到", "№": "第", "§": "第"}  # fmt: skip
SPELLED = "wto|mvp|vip|iq|eq|mba|gdp|cpi|ceo|cfo|cto|nba|cba|dna|rna|usb|cpu|gpu|ktv|dvd|pdf|ppt|atm|app(?=s?\\b)|api|url|gps|led|lcd|ufo|bbc|cnn|fbi|cia|who(?=组织)|hiv|ico|ipo|ai"
KEYS = {"#": "井", "*": "星"}
"""The keys of a telephone that have signs on them."""
ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50}
SHORT = 2


def _replace_roman(match: re.Match[str]) -> str:
    values = [ROMAN[letter] for letter in match[0].upper()]
    return read_cardinal(str(sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))))


def read_beside_letters(text: str) -> str:
    """Read figures beside letters: two as a number, others one by one.

    Parameters
    ----------
    text
        The figures.

    Returns
    -------
    str
        Chinese words.
    """
    return read_cardinal(text) if len(text) <= SHORT and text[0] != "0" else read_digits(text)


RULES = (
    rule("initialism", rf"(?<![A-Za-z.])(?:{SPELLED})(?![A-Za-z])", lambda m: m[0].upper() if m[0].islower() else m[0]),
    rule("service code", r"[*#]{1,2}\d[\d*#]{0,20}#", lambda m: "".join(KEYS.get(c) or read_digits(c, "幺") for c in m[0])),
    rule("key", r"\s?([#*])\s?号?\s?(?=键)|(?<=[按拨])\s?([#*])(?:号|(?=[\s，。！？,!?]|$|[重返结确])\s?)|([#*])号", lambda m: KEYS[m[1] or m[2] or m[3]] + "号"),
    rule("2 for to", r"(?<![A-Za-z\d.])(?!H2[OS]|[NK]2O|I2C)([A-Z])2([A-Z])(?![A-Za-z\d])", lambda m: f"{m[1]} to {m[2]}"),
    rule("picture rate", r"(?:(?<=\d)|(?<=\d[KkPp]))\s?@\s?(?=[零点一二三四五六七八九十百千]+(?:赫兹|帧))", lambda _match: "，"),
    rule("Roman numeral", r"(?<=[第部章卷型期级])[IVXL]{1,6}(?![A-Za-z])|(?<![A-Za-z])[IVXL]{2,6}(?=世|期|级|型|章)", _replace_roman),
    rule("English ordinal", r"(?<![A-Za-z\d])(\d{1,4})(?:st|nd|rd|th)(?![A-Za-z])", lambda m: f"第{read_cardinal(m[1])}"),
    rule("letter and figures", r"(?<=[A-Za-z])[-]?(\d{1,9})(?![\d.])", lambda m: read_beside_letters(m[1])),
    rule("figures and letter", r"(?<![\d.])(\d{1,2})(?=[A-Za-z])", lambda m: read_beside_letters(m[1])),
)  # fmt: skip
SIGNS = rule("sign", "[" + "".join(re.escape(sign) for sign in NAMES) + "]", lambda m: NAMES[m[0]])
