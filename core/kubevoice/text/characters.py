"""Stage one of the front end: one form for each character, in simplified Chinese and of normal width."""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

from kubevoice.text.normalisation.numbers import read_cardinal
from kubevoice.text.traced_text import TracedText

__all__ = ["LINE_ENDS", "clean", "to_chinese_punctuation"]

FULL_WIDTH_PUNCTUATION = str.maketrans(
    {",": "，", ";": "；", "!": "！", "?": "？", "(": "（", ")": "）", "｡": "。", "､": "、"}
)
"""NFKC makes these half width; the stages after normalisation expect Chinese punctuation."""

DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk", "Mn", "Me"}
"""Unicode categories without a reading: controls, formats, surrogates, private use, unassigned, emoji, stray marks."""
LINE_ENDS = "\n\r\v\f\x85\u2028\u2029"
READABLE_SYMBOLS = {"°", "→", "℃", "℉", "№", "^", "²", "³"}
FOLDED = {"²": "²", "³": "³", "㎡": "m²", "㎥": "m³", "㎢": "km²", "○": "〇", "◯": "〇", "℃": "℃", "℉": "℉", "№": "№",
          # A full-width comma separates numbers, and never belongs to one.
          "，": "，"}  # fmt: skip


ASPECT = re.compile(
    "(?<=[看跟拿随走坐站躺笑哭说听想等带抱拉牵望盯跑骑开穿戴闭睁握捧提背顺沿接朝凭靠活忙忍住睡爱恋惦念藏留存挂写画放摆贴停吃喝唱跳飞流冒闪照含味"
    "执沉附衣胶粘找用犯摸睁踩抓伴试绕隔指推举扶抬搂守陪踏踩护迎忧盼盛过有对冲亮红烧饿冷热忙空急附披裹夹系叫喊嚷骂追赶逃躲藏藉本为面])著"
    "(?![作名者述称录有])|著(?=[手急想眼重陆火装落实魔迷凉色地力呢])"
)
"""Where a traditional 著 is 着, which OpenCC leaves as it is: after verbs, and in words such as 著急."""


KNOWN = 20_000
"""Characters whose form is remembered."""
SUPERSCRIPTS = re.compile("[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]*[⁺⁻⁰¹⁴⁵⁶⁷⁸⁹][⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]*|[²³]{2,}|ⁿ|(?<=[，。！？”」])[²³]")
"""Exponents, charges and footnotes; but not squares and cubes, which have words of their own."""
EXPONENTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ", "+-0123456789n")
CHARGES = {"⁺": "加", "⁻": "减"}
FOOTNOTE_AFTER = re.compile("[一-鿿，。！？”」]$")
APOSTROPHE = re.compile("(?<=[A-Za-z])’(?=[A-Za-z])")


@cache
def _simplify() -> Any:
    import opencc  # imported when first needed: it loads dictionaries

    return opencc.OpenCC("t2s")


@lru_cache(maxsize=KNOWN)
def _fold(character: str) -> str:
    """Return the NFKC form of a character; those that would lose their meaning by it have a form of their own."""
    if character in FOLDED:
        return FOLDED[character]
    folded = unicodedata.normalize("NFKC", character)
    if folded.isdigit() and unicodedata.decomposition(character).startswith("<circle>"):
        return read_cardinal(folded)  # each is a number of its own: ①②
    if folded.isalpha() and not folded.isascii() and (letter := unicodedata.normalize("NFD", folded)[0]).isascii():
        return letter  # café is read like cafe
    return folded.replace("⁄", "/")


def _replace_superscript(match: re.Match[str]) -> str:
    """Return an exponent with a caret, a charge in words, and nothing for the number of a footnote."""
    signs = match[0]
    if signs[-1] in CHARGES:
        return "".join(read_cardinal(c) for c in signs[:-1].translate(EXPONENTS) if c.isdigit()) + CHARGES[signs[-1]]
    if signs[0] not in CHARGES and FOOTNOTE_AFTER.search(match.string, max(0, match.start() - 1), match.start()):
        return ""
    return "^" + signs.translate(EXPONENTS).removeprefix("+")


@lru_cache(maxsize=KNOWN)
def _drop_unreadable(character: str) -> str:
    """Return a character; a line feed for any line end, a space for other white space, "" if it has no reading."""
    if character in LINE_ENDS:
        return "\n"
    if character.isspace():
        return " "
    is_readable = character in READABLE_SYMBOLS or unicodedata.category(character) not in DROPPED
    return character if is_readable else ""


def clean(text: str | TracedText) -> TracedText:
    """Return a text in simplified characters and of normal width, without emoji and control characters.

    Line ends of any kind become line feeds: a sentence ends there.

    Parameters
    ----------
    text
        The input, or what is left of it.

    Returns
    -------
    TracedText
        The cleaned text; each character keeps the index of the input that it came from.
    """
    traced = TracedText.from_input(text) if isinstance(text, str) else text
    traced = traced.sub(SUPERSCRIPTS, _replace_superscript)
    folded = traced.translate(_fold)
    readable = folded.translate(_drop_unreadable)
    simplified = ASPECT.sub("着", str(_simplify().convert(readable.text)))
    simplified = APOSTROPHE.sub("'", simplified)
    return TracedText(simplified, readable.origins).strip()


def to_chinese_punctuation(text: TracedText) -> TracedText:
    """Replace ASCII punctuation by the Chinese one.

    This is done after numbers are read, because commas and colons are part of numbers.

    Parameters
    ----------
    text
        Normalised text.

    Returns
    -------
    TracedText
        Text of the same length.
    """
    return TracedText(text.text.translate(FULL_WIDTH_PUNCTUATION), text.origins)
