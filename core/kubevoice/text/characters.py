"""Stage one: one spelling for each character."""

import unicodedata
from functools import cache
from typing import Any

from kubevoice.text.traced_text import TracedText

__all__ = ["LINE_ENDS", "clean", "to_chinese_punctuation"]

KEPT_PUNCTUATION = str.maketrans(
    {",": "，", ";": "；", "!": "！", "?": "？", "(": "（", ")": "）", "｡": "。", "､": "、"}
)
"""NFKC makes these half width; to the stages that follow, Chinese punctuation is the rule."""


DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk", "Mn", "Me"}
"""Categories that are not spoken: controls, formats, surrogates, private use, unassigned, emoji, stray marks."""
LINE_ENDS = "\n\r\v\f\x85\u2028\u2029"
SPOKEN_SYMBOLS = {"°", "→", "℃", "℉", "№", "^", "²", "³"}
KEPT = {"²": "²", "³": "³", "㎡": "m²", "㎥": "m³", "㎢": "km²", "○": "〇", "◯": "〇", "℃": "℃", "℉": "℉", "№": "№"}


@cache
def _simplify() -> Any:
    import opencc  # imported when first needed: it loads dictionaries

    return opencc.OpenCC("t2s")


def _fold(character: str) -> str:
    """Return a character's usual form; what NFKC would rob of its meaning is kept or written out."""
    if character in KEPT:
        return KEPT[character]
    folded = unicodedata.normalize("NFKC", character)
    if folded.isdigit() and unicodedata.decomposition(character).startswith("<super>"):
        return f"^{folded}"
    return folded.replace("⁄", "/")


def _kept(character: str) -> str:
    if character in LINE_ENDS:
        return "\n"
    if character.isspace():
        return " "
    spoken = character in SPOKEN_SYMBOLS or unicodedata.category(character) not in DROPPED
    return character if spoken else ""


def clean(text: str) -> TracedText:
    """Return `text` in simplified characters and normal widths, without emoji and control characters.

    Line ends, of whatever kind, stay as line feeds, for a sentence ends there.
    """
    folded = TracedText.from_input(text).translate(_fold)
    kept = folded.translate(_kept)
    simplified = str(_simplify().convert(kept.text))
    return TracedText(simplified, kept.origins).strip()


def to_chinese_punctuation(text: TracedText) -> TracedText:
    """Widen ASCII punctuation; done after numbers are read, whose commas and colons mean something."""
    return TracedText(text.text.translate(KEPT_PUNCTUATION), text.origins)
