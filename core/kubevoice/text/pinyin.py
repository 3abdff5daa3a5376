"""Pinyin as people write it: chong2 qing4, chong2qing4, CHONG2 QING4, chóng qìng, chóngqìng; ü as ü, v, u: or yu."""

import re
import unicodedata
from functools import lru_cache

from kubevoice.errors import InputError
from kubevoice.text.syllables import is_syllable

__all__ = ["parse_pinyin"]

MARKS = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0306": "3", "\u0300": "4"}
"""Combining tone marks; a breve is what people type for the third tone by mistake."""
LONGEST = 6
LONGEST_WORD = 64
"""Letters without a space."""
SEPARATORS = re.compile(r"[\s'’·-]+")


def _spell(chunk: str) -> tuple[str, str]:
    """Return the letters of a chunk without tone marks, and for each the digit of its mark, or a space."""
    letters, tones = "", ""
    for character in unicodedata.normalize("NFD", chunk):
        if character == "\u0308" and letters.endswith("u"):
            letters = letters[:-1] + "v"
        elif character == "\u0302" and letters.endswith("e"):
            letters = letters[:-1] + "ê"
        elif character in MARKS and letters:
            tones = tones[:-1] + MARKS[character]
        else:
            letters, tones = letters + character, tones + " "
    return letters, tones


@lru_cache(maxsize=4096)
def _divide(letters: str, tones: str) -> tuple[str, ...] | None:
    """Divide marked letters into syllables; None if that is impossible.

    A syllable within a word begins with a consonant if there is a choice, since the orthography has an apostrophe
    otherwise.
    """
    if not letters:
        return ()
    divisions: list[tuple[str, ...]] = []
    for end in range(1, min(LONGEST, len(letters)) + 1):
        marks = tones[:end].replace(" ", "")
        if len(marks) > 1 or not is_syllable(letters[:end]):
            continue
        rest = _divide(letters[end:], tones[end:])
        if rest is not None:
            divisions.append((letters[:end] + (marks or "5"), *rest))
    return min(divisions, key=lambda parts: (sum(part[0] in "aeo" for part in parts[1:]), len(parts)), default=None)


def parse_pinyin(text: str) -> tuple[str, ...]:
    """Read the syllables of a word.

    Parameters
    ----------
    text
        Pinyin with tone digits or tone marks, with or without spaces, apostrophes and hyphens between the syllables, in
        capitals or not; ü may be written ü, u: or v. 5, 0 and, beside marked syllables, no mark are the neutral tone.

    Returns
    -------
    tuple[str, ...]
        The syllables, each with a tone digit, with v for ü.

    Raises
    ------
    InputError
        If a syllable does not exist or has no tone; the message names the first.
    """
    is_marked = not any(character.isdigit() for character in text)
    has_marks = any(mark in unicodedata.normalize("NFD", text) for mark in MARKS)
    syllables: list[str] = []
    for chunk in filter(None, SEPARATORS.split(text.strip().lower().replace("u:", "ü"))):
        letters, tones = _spell(chunk[:64])
        if is_marked and has_marks:
            parts = _divide(letters, tones)
            if parts is None:
                raise InputError(
                    f"{chunk[:20]!r} is not pinyin with tone marks; write it like chóng qìng or chong2 qing4"
                )
            syllables += parts
        else:
            syllables += re.findall(r"[^\d]*\d|[^\d]+$", letters)
    syllables = [syllable[:-1] + "5" if syllable[-1] == "0" else syllable for syllable in syllables]
    wrong = [s for s in syllables if s[-1] not in "12345" or not is_syllable(s[:-1])]
    if wrong:
        raise InputError(f"{wrong[0][:20]!r} is not a pinyin syllable with a tone from 1 to 5")
    return tuple(syllables)
