"""Stage five: a reading for each word, in pinyin with tone digits (5 is the neutral tone, v is ü)."""

import re
from collections.abc import Mapping
from functools import cache
from types import ModuleType

from kubevoice.errors import InputError

__all__ = ["Lexicon", "readings"]

Lexicon = Mapping[str, tuple[str, ...]]
SPELLINGS = {"ê": "ei", "n": "en", "ng": "en", "m": "mu", "hm": "heng", "hng": "heng", "lue": "lve", "nue": "nve"}
SYLLABLE = re.compile(r"[a-z]+[1-5]")


@cache
def _pypinyin() -> ModuleType:
    import pypinyin
    from pypinyin_dict.phrase_pinyin_data import large_pinyin

    large_pinyin.load()
    return pypinyin


def readings(words: list[str], lexicon: Lexicon) -> list[tuple[str, ...]]:
    """Return each word's syllables; the lexicon comes first, then phrases of several characters.

    Raises InputError naming the first character that has no known reading.
    """
    return [lexicon[word] if word in lexicon else _reading(word) for word in words]


def _spelled(syllable: str) -> str:
    """Spell as the unit tables do: ü is v, after j q x y too, and interjections have a vowel."""
    plain, tone = syllable[:-1], syllable[-1:]
    plain = re.sub(r"^([jqxy])u", r"\1v", plain.replace("ü", "v"))
    return SPELLINGS.get(plain, plain) + tone


def _reading(word: str) -> tuple[str, ...]:
    library = _pypinyin()
    found = library.lazy_pinyin(word, style=library.Style.TONE3, neutral_tone_with_five=True, errors=list)
    syllables = tuple(_spelled(syllable) for syllable in found)
    for character, syllable in zip(word, syllables, strict=False):
        if not SYLLABLE.fullmatch(syllable):
            raise InputError(f"character {character!r} has no known reading; write it in other words")
    return syllables
