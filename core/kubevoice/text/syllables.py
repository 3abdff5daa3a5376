"""Pinyin syllables: their phones, and erhua (docs/reference/kantts-format.md)."""

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

from kubevoice.errors import InputError

__all__ = ["get_phones", "is_syllable", "merge_erhua", "read_table"]

SPELLINGS = {"ê": "ei", "n": "en", "ng": "en", "m": "mu", "hm": "heng", "hng": "heng", "nue": "nve", "lue": "lve"}
"""Spelling in the tables of syllables that are written in another way, such as interjections without a vowel."""
FULL_ER = frozenset(
    [
        "女儿",
        "婴儿",
        "幼儿",
        "孤儿",
        "少儿",
        "胎儿",
        "健儿",
        "男儿",
        "宠儿",
        "患儿",
        "弃儿",
        "育儿",
        "新生儿",
        "妻儿",
        "小儿",
        "孩儿",
        "侄儿",
        "生儿",
        "产儿",
        "混血儿",
        "幸运儿",
        "畸形儿",
    ]
)
"""Words whose 儿 means child and is a syllable of its own."""


def read_table(name: str) -> list[list[str]]:
    """Read one of the tables that ship with this package.

    Parameters
    ----------
    name
        Name of the file, with tabs between columns.

    Returns
    -------
    list[list[str]]
        The cells of each row.
    """
    text = (resources.files("kubevoice.text") / "tables" / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line]


@cache
def _phone_table() -> dict[str, tuple[str, ...]]:
    return {syllable: tuple(phones.split()) for syllable, phones in read_table("pinyin_to_phones.txt")}


def _to_table_spelling(syllable: str) -> str:
    """Return the spelling of the tables, which write v for ü after j, q, x and y too."""
    return re.sub(r"^([jqxy])u", r"\1v", SPELLINGS.get(syllable, syllable))


def is_syllable(text: str) -> bool:
    """Return whether the tables have a pinyin syllable.

    Parameters
    ----------
    text
        A syllable without its tone.

    Returns
    -------
    bool
        Whether it exists.
    """
    return _to_table_spelling(text) in _phone_table()


def get_phones(syllable: str) -> tuple[str, ...]:
    """Return the phones of a pinyin syllable.

    Parameters
    ----------
    syllable
        A syllable without its tone.

    Returns
    -------
    tuple[str, ...]
        Its initial, if it has one, and its final.

    Raises
    ------
    InputError
        If the tables do not have the syllable.
    """
    phones = _phone_table().get(_to_table_spelling(syllable))
    if phones is None:
        raise InputError(f"pinyin syllable {syllable!r} does not exist; check the lexicon or the document's pinyin")
    return phones


def merge_erhua(text: str, syllables: Sequence[str]) -> list[str]:
    """Merge a final 儿 with the syllable before it, where the tables have such a syllable.

    Parameters
    ----------
    text
        The word.
    syllables
        Its syllables with tone digits.

    Returns
    -------
    list[str]
        The syllables, one fewer if 儿 was merged.
    """
    merged = list(syllables)
    if text in FULL_ER:
        return merged
    if len(text) == len(merged) > 1 and text[-1] == "儿" and merged[-1][:-1] == "er":
        with_r = f"{merged[-2][:-1]}r"
        if is_syllable(with_r):
            merged[-2:] = [with_r + merged[-2][-1]]
    return merged
