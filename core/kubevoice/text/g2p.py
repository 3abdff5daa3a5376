"""Grapheme to phoneme: the pinyin of each word before tone sandhi, with tone digits (5 is the neutral tone, v is ü).

The first source that has a reading decides it:

1. the document's own pinyin, SSML's `<phoneme>` (text/pipeline.py, before this module is called);
2. the lexicon, for whole words: those of the request first, then the voice's;
3. 一 and 不, which keep their base tone here, since sandhi changes it later (`BASE_TONES`);
4. patterns and words for what neither the network nor the dictionary gets right (text/reading_rules.py);
5. the neutral tone of the last syllable of words such as 衣服 (text/neutral_tones.py);
6. the polyphone network (text/polyphones.py);
7. the phrase dictionary (text/phrase_dictionary.py): the word itself, else the longest match from the left;
8. the commonest reading of the character: pypinyin's, or that of a table of rare characters.
"""

import lzma
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from kubevoice.errors import InputError
from kubevoice.text.neutral_tones import find_neutral_tones
from kubevoice.text.phrase_dictionary import PhraseDictionary, PhraseMatch
from kubevoice.text.polyphones import PolyphoneModel
from kubevoice.text.reading_rules import find_exceptions

__all__ = ["Lexicon", "Reading", "WordReading", "has_reading", "resolve_readings"]

Reading = tuple[str, ...]
"""The syllables of a word, each pinyin with a tone digit."""
Lexicon = Mapping[str, Reading | str]
"""By word, its reading, or the words that are read instead of it."""


class WordReading(NamedTuple):
    """The syllables of a word, and for each the source that decided it: a name of docs/front-end.md."""

    syllables: Reading
    sources: tuple[str, ...]


SYLLABLE = re.compile(r"[a-zê]+[1-5]")
BASE_TONES = {"一": "yi1", "不": "bu4"}
"""Some phrases of the dictionary have these two after sandhi, which is the next stage."""


@cache
def _load_rare_readings() -> dict[str, str]:
    """Return the readings of characters that pypinyin does not have; scripts/make_rare_readings.py compiles them."""
    packed = (resources.files("kubevoice.text") / "tables" / "rare.txt.xz").read_bytes()
    lines = (line.split(" ") for line in lzma.decompress(packed).decode().split("\n"))
    return {character: syllable for syllable, characters in lines for character in characters}


@cache
def _find_reading(character: str) -> str | None:
    """Return the commonest reading of a character on its own; None if it has none."""
    import pypinyin  # imported when first needed: it loads dictionaries

    if character in (rare := _load_rare_readings()):
        return rare[character]
    syllables = pypinyin.lazy_pinyin(
        character, style=pypinyin.Style.TONE3, neutral_tone_with_five=True, errors="ignore"
    )
    reading = syllables[0].replace("ü", "v") if syllables else ""
    return reading if SYLLABLE.fullmatch(reading) else None


def has_reading(character: str) -> bool:
    """Return whether a Chinese character has a reading.

    Parameters
    ----------
    character
        One character.

    Returns
    -------
    bool
        False for rare characters that no dictionary has, and for signs.
    """
    return _find_reading(character) is not None


def _read_character(character: str) -> str:
    """Return the commonest reading of a character on its own; InputError if it has none."""
    reading = _find_reading(character)
    if reading is None:
        raise InputError(f"character {character!r} has no known reading; use another word")
    return reading


def _decide(character: str, reading: str | None, source: str) -> tuple[str, str]:
    """Return the reading of a character and its source, given what the context says."""
    if character in BASE_TONES:
        return BASE_TONES[character], "sandhi"
    return (reading, source) if reading else (_read_character(character), "characters")


def _read_by_dictionary(words: Sequence[str], matches: Sequence[PhraseMatch | None]) -> list[str | None]:
    """Return the dictionary's reading of each character: that of the word itself, or of the longest match."""
    dictionary = PhraseDictionary.load()
    readings: list[str | None] = [match.reading if match else None for match in matches]
    at = 0
    for word in words:
        if len(word) > 1 and (syllables := dictionary.get(word)):
            readings[at : at + len(word)] = syllables
        at += len(word)
    return readings


def _read_characters(words: Sequence[str], *, neutral_tones: bool) -> list[tuple[str | None, str]]:
    """Return the reading of each character of a sentence in its context, None where no source knows it; and the source.

    The sources are applied from the lowest priority to the highest, each overwriting the ones before.
    """
    text = "".join(words)
    matches = PhraseDictionary.load().match_forward(text)
    readings = [(reading, "phrases") for reading in _read_by_dictionary(words, matches)]
    for place, reading in PolyphoneModel.load().predict(words, matches).items():
        readings[place] = reading, "network"
    for place in find_neutral_tones(words) if neutral_tones else ():
        reading = readings[place][0] or _read_character(text[place])
        if reading[-1] != "5":
            readings[place] = f"{reading[:-1]}5", "neutral tones"
    for place, (reading, source) in find_exceptions(words).items():
        readings[place] = reading, source
    return readings


def resolve_readings(
    words: Sequence[str], is_spoken: Sequence[bool], lexicon: Mapping[str, Reading], *, neutral_tones: bool = True
) -> list[WordReading]:
    """Return the reading of each word of a sentence.

    Parameters
    ----------
    words
        All words of the sentence, punctuation too: the context decides the readings.
    is_spoken
        Whether the reading of each word is needed, [len(words)].
    lexicon
        Readings of whole words that override all other sources.
    neutral_tones
        Whether words such as 衣服 end with a neutral tone.

    Returns
    -------
    list of WordReading
        The syllables of each word and their sources, [len(words)]; empty where `is_spoken` is false.

    Raises
    ------
    InputError
        If a character has no known reading; the message names it.
    """
    in_context = _read_characters(words, neutral_tones=neutral_tones)
    readings: list[WordReading] = []
    at = 0
    for word, is_needed in zip(words, is_spoken, strict=True):
        if not is_needed:
            readings.append(WordReading((), ()))
        elif word in lexicon:
            readings.append(WordReading(lexicon[word], ("lexicon",) * len(lexicon[word])))
        else:
            pairs = [_decide(c, *decided) for c, decided in zip(word, in_context[at : at + len(word)], strict=True)]
            readings.append(WordReading(tuple(reading for reading, _ in pairs), tuple(source for _, source in pairs)))
        at += len(word)
    return readings
