"""Stage one: one spelling for each character."""

import unicodedata
from functools import cache
from typing import Any

__all__ = ["clean"]

KEPT_PUNCTUATION = str.maketrans(
    {",": "，", ";": "；", "!": "！", "?": "？", "(": "（", ")": "）", "｡": "。", "､": "、"}
)
"""NFKC makes these half width; to the stages that follow, Chinese punctuation is the rule."""


DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk", "Mn", "Me"}
"""Categories that are not spoken: controls, formats, surrogates, private use, unassigned, emoji, stray marks."""
SPOKEN_SYMBOLS = {"°"}


@cache
def _simplify() -> Any:
    import opencc  # imported when first needed: it loads dictionaries

    return opencc.OpenCC("t2s")


def _is_spoken(character: str) -> bool:
    known = character.isspace() or character in SPOKEN_SYMBOLS
    return known or unicodedata.category(character) not in DROPPED


def clean(text: str) -> str:
    """Return `text` in simplified characters and normal widths, without emoji and control characters."""
    folded = unicodedata.normalize("NFKC", text)
    kept = "".join(" " if c.isspace() else c for c in folded if _is_spoken(c))
    return str(_simplify().convert(kept)).strip()


def to_chinese_punctuation(text: str) -> str:
    """Widen ASCII punctuation; done after numbers are read, whose commas and colons mean something."""
    return text.translate(KEPT_PUNCTUATION)
