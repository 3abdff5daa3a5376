"""Text with prosodic boundaries and its pinyin, as in prosody.txt of KAN-TTS (docs/reference/kantts-format.md).

The text has #1 to #4 after the characters where there is a boundary ("/" and "%" stand for #2, a space for #1); the
pinyin has a space between syllables, "/" between words, and a tone digit last.
"""

import re

from kubevoice.errors import InputError
from kubevoice.text import Unit, is_han
from kubevoice.text.sandhi import apply_sandhi
from kubevoice.text.units import build_boundary_unit, build_word_units

__all__ = ["parse_marked_units", "strip_boundaries"]

MARKS = re.compile(r"#([1-4])|([/%])|(\s+)")
SYLLABLE = re.compile(r"([a-zü]+)(?:[1-4](?=5))?([1-6])")


def strip_boundaries(marked: str) -> str:
    """Return the text without its boundary marks.

    Parameters
    ----------
    marked
        Text with boundary marks: #1 to #4, "/", "%" and spaces.

    Returns
    -------
    str
        The characters alone.
    """
    return re.sub(r"#[1-4]|[/%\s]", "", marked)


def _normalize_syllable(written: str) -> str:
    """Spell one syllable as our tables do; InputError if it is not a syllable."""
    match = SYLLABLE.fullmatch(written)
    if match is None:
        raise InputError(f"{written[:20]!r} is not a pinyin syllable; write one such as ni3, and no other language")
    name, tone = match[1].replace("ü", "v"), match[2]
    # 6 is a third tone pronounced as a second; 5 after another tone makes it neutral; KAN-TTS reads ng as en.
    return {"ng": "en"}.get(name, name) + {"6": "2"}.get(tone, tone)


def _split_words(pinyin: str) -> list[list[str]]:
    words = [[_normalize_syllable(s) for s in word.replace(".", " ").split()] for word in pinyin.split("/")]
    return [word for word in words if word]


def _read_boundaries(marked: str) -> dict[int, int]:
    """Return the highest boundary level by the number of characters before it; {3: 2} is #2 after the third."""
    boundaries: dict[int, int] = {}
    count, at = 0, 0
    while at < len(marked):
        if match := MARKS.match(marked, at):
            level = int(match[1]) if match[1] else 2 if match[2] else 1
            boundaries[count] = max(level, boundaries.get(count, 0))
            at = match.end()
        else:
            count += is_han(marked[at])
            at += 1
    return boundaries


def _find_syllable_ends(characters: str, syllables: list[str]) -> list[int]:
    """Return the number of characters up to the end of each syllable; a syllable that ends in r includes its 儿."""
    ends, at = [], 0
    for syllable in syllables:
        at += 1
        if syllable[:-1] != "er" and syllable[-2] == "r" and characters[at : at + 1] == "儿":
            at += 1
        ends.append(at)
    if at != len(characters):
        raise InputError(f"the text has {len(characters)} characters, its pinyin covers {at}; correct one of them")
    return ends


PHRASE_ENDS = 3
"""Sandhi does not cross boundaries of this level or a higher one."""


def _apply_sandhi(
    words: list[list[str]], characters: str, ends: list[int], boundaries: dict[int, int]
) -> list[list[str]]:
    """Apply sandhi to words whose tones are the dictionary's."""
    changed: list[list[str]] = []
    phrase: list[tuple[str, tuple[str, ...]]] = []
    count = begin = 0
    for word in words:
        count += len(word)
        end = ends[count - 1]
        phrase.append((characters[begin:end], tuple(word)))
        begin = end
        if boundaries.get(end, 0) >= PHRASE_ENDS:
            changed += map(list, apply_sandhi(*zip(*phrase, strict=True)))
            phrase = []
    return changed


def parse_marked_units(text: str, reading: str, *, sandhi: bool = False) -> list[Unit]:
    """Return the units of a text from its marked form and its pinyin.

    A word ends at "/" and at every boundary; the last boundary is #4.

    Parameters
    ----------
    text
        The text, for messages.
    reading
        Two lines: the marked text and its pinyin.
    sandhi
        Whether the pinyin has the dictionary's tones, so that tone sandhi has to be applied.

    Returns
    -------
    list of Unit
        The linguistic units, prosodic boundaries included.

    Raises
    ------
    InputError
        If there is no pinyin, or it does not fit the text.
    """
    marked, _, pinyin = reading.partition("\n")
    words = _split_words(pinyin)
    if not words:
        raise InputError(f"{text[:40]!r} has no pinyin; add the line below it")
    characters = "".join(c for c in marked if is_han(c))
    ends = _find_syllable_ends(characters, [s for word in words for s in word])
    boundaries = _read_boundaries(marked) | {ends[-1]: 4}
    if sandhi:
        words = _apply_sandhi(words, characters, ends, boundaries)
    units: list[Unit] = []
    count = 0
    for word in words:
        part: list[str] = []
        for syllable in word:
            part.append(syllable)
            level = boundaries.get(ends[count])
            count += 1
            if level is not None:
                units += [*build_word_units(part), build_boundary_unit(level)]
                part = []
        units += build_word_units(part) if part else []
    return units
