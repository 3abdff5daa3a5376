"""Chinese names in Latin letters: Zhang, Beijing and Xiaomi are read as pinyin, She and Long stay English.

`tables/names.txt` has places, brands and surnames with their tones. Another word is a name if all of it is pinyin and
English does not have it, or if its spelling is not English. Its syllables get the tones that are most common in names
(`tables/name_tones.txt`, counted in jieba's dictionary).
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import resources

from kubevoice.text.english import has_english

__all__ = ["find_names"]

LONGEST = 6
"""Letters of a syllable."""
SHORTEST_CAPITALS = 4
"""Shorter words in capitals are initialisms."""
FOREIGN = re.compile(r"zh|^x|[ng]x[iu]|^q(?!u[aeio])|ng?q(?!u[aeio])")
"""Spellings that English words do not have."""
FOREIGN_AT_ALL = re.compile(r"zh|^x")
"""Of these, the ones that no name of another language has: Quran."""
IS_PART = re.compile(r"[A-Z][a-z]+(?:'[a-z]+)?")


@cache
def _load_table() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Return the names, and the surnames that are also English words, with their readings."""
    names: dict[str, tuple[str, ...]] = {}
    surnames: dict[str, tuple[str, ...]] = {}
    text = (resources.files("kubevoice.text") / "tables" / "names.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            name, reading = line.split("\t")
            (surnames if name[0] == "~" else names)[name.removeprefix("~")] = tuple(reading.split())
    return names, surnames


@cache
def _load_tones() -> dict[str, str]:
    text = (resources.files("kubevoice.text") / "tables" / "name_tones.txt").read_text(encoding="utf-8")
    return {syllable[:-1]: syllable for syllable in text.split()}


@lru_cache(maxsize=4096)
def _divide(letters: str) -> tuple[str, ...] | None:
    """Divide letters into syllables with their usual tones; None if that is impossible.

    A syllable within a word begins with a consonant if there is a choice: Fangan is fan gan.
    """
    if not letters:
        return ()
    tones = _load_tones()
    begins = (letters[:end] for end in range(1, min(LONGEST, len(letters)) + 1))
    divisions = [
        (tones[begin], *rest)
        for begin in begins
        if begin in tones and (rest := _divide(letters[len(begin) :])) is not None
    ]
    return min(divisions, key=lambda parts: (sum(part[0] in "aeo" for part in parts[1:]), len(parts)), default=None)


def _read_name(word: str) -> tuple[str, ...] | None:
    """Return the reading of a word that is a Chinese name whatever stands beside it."""
    letters = word.lower().replace("'", "")
    if len(letters) > LONGEST * LONGEST or (word.isupper() and len(word) < SHORTEST_CAPITALS):
        return None
    reading = _load_table()[0].get(letters)
    if reading:
        return reading if len(reading) > 1 or not word.islower() else None
    if word.isupper() or letters in _load_table()[1] or not (syllables := _divide(letters)):
        return None
    if has_english(letters):
        return syllables if FOREIGN_AT_ALL.search(letters) and not word.islower() else None
    is_name = FOREIGN.search(letters) or (len(syllables) > 1 and not word.islower())
    return syllables if is_name else None


def _read_beside_name(word: str, *, is_before: bool) -> tuple[str, ...] | None:
    """Return the reading of a capitalized word beside a name: a surname before it, a given name of pinyin after it."""
    if not IS_PART.fullmatch(word):
        return None
    letters = word.lower().replace("'", "")
    return _load_table()[1].get(letters) or (None if is_before else _divide(letters))


def find_names(words: Sequence[str]) -> dict[int, tuple[str, ...]]:
    """Return the readings of the Chinese names in Latin letters of a sentence.

    Parameters
    ----------
    words
        The words of the sentence. Those in Latin letters that follow one another have only space between them.

    Returns
    -------
    dict[int, tuple[str, ...]]
        The syllables of each such word, by its index.
    """
    names = _load_table()[0]
    readings: dict[int, tuple[str, ...]] = {}
    for i, word in enumerate(words):
        if not (word[0].isascii() and word[0].isalpha()):
            continue
        joined = names.get((word + words[i + 1]).lower()) if i + 1 < len(words) and words[i + 1].isascii() else None
        if joined and i not in readings and word[0].isupper() and _divide(word.lower()):
            count = len(_divide(word.lower()) or ())
            readings |= {i: joined[:count], i + 1: joined[count:]}
        elif i not in readings and (reading := _read_name(word)):
            readings[i] = reading
    for i in sorted(readings):
        if i and i - 1 not in readings and (reading := _read_beside_name(words[i - 1], is_before=True)):
            readings[i - 1] = reading
        for at in range(i + 1, min(len(words), i + 3)):  # a given name may be written in two words
            given = None if at in readings else _read_beside_name(words[at], is_before=False)
            if given is None:
                break
            readings[at] = given
    return readings
