"""Grapheme to phoneme: the pinyin of each word before tone sandhi, with tone digits (5 is the neutral tone, v is ü).

The first source that has a reading decides it:

1. the document's own pinyin, SSML's `<phoneme>` (text/pipeline.py, before this module is called);
2. the lexicon, for whole words: those of the request first, then the voice's;
3. 一 and 不, which keep their base tone here, since sandhi changes it later (`BASE_TONES`);
4. `POLYPHONE_RULES`: patterns for what neither the network nor the dictionary gets right;
5. the polyphone network (text/polyphones.py);
6. the phrase dictionary (text/phrase_dictionary.py): the word itself, else the longest match from the left;
7. the commonest reading of the character (pypinyin).
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from kubevoice.errors import InputError
from kubevoice.text.phrase_dictionary import PhraseDictionary, PhraseMatch
from kubevoice.text.polyphones import PolyphoneModel

__all__ = ["Lexicon", "Reading", "resolve_readings"]

Reading = tuple[str, ...]
"""The syllables of a word, each pinyin with a tone digit."""
Lexicon = Mapping[str, Reading]
SYLLABLE = re.compile(r"[a-zê]+[1-5]")
POLYPHONE_RULES = (
    # After a number 行 is a row or a line; but 五行 are the five elements.
    (re.compile(r"(?:[二两三四六七八九十百千几数]|零一|[十百零]五|五(?=行[字诗文代]))(行)"), "hang2"),
    # 长 before 高, 胖 or 壮 is to grow, unless it follows a word for a dimension.
    (re.compile(r"(?<![周边波全身特延])(长)(?=[高胖壮])"), "zhang3"),
    # 还 before a debt, or after 把 and before 了, is to give back.
    (re.compile(r"(还)(?=(?:[清完掉])?了?[一二三两四五六七八九十百千万亿几]*[元块]?(?:钱|债|贷款|欠款))"), "huan2"),
    (re.compile(r"把[^，。！？；]{1,8}(还)(?=了(?!解))"), "huan2"),
)
"""A pattern whose first group is the character, and its reading there; a later rule overrides an earlier one."""
BASE_TONES = {"一": "yi1", "不": "bu4"}
"""Some phrases of the dictionary have these two after sandhi, which is the next stage."""


@cache
def _read_character(character: str) -> str:
    """Return the commonest reading of a character on its own; InputError if it has none."""
    import pypinyin  # imported when first needed: it loads dictionaries

    syllables = pypinyin.lazy_pinyin(
        character, style=pypinyin.Style.TONE3, neutral_tone_with_five=True, errors="ignore"
    )
    reading = syllables[0].replace("ü", "v") if syllables else ""
    if not SYLLABLE.fullmatch(reading):
        raise InputError(f"character {character!r} has no known reading; use another word")
    return reading


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


def _read_characters(words: Sequence[str]) -> list[str | None]:
    """Return the reading of each character of a sentence in its context; None where no source knows it.

    The sources are applied from the lowest priority to the highest, each overwriting the ones before.
    """
    text = "".join(words)
    matches = PhraseDictionary.load().match_forward(text)
    readings = _read_by_dictionary(words, matches)
    for place, reading in PolyphoneModel.load().predict(words, matches).items():
        readings[place] = reading
    for pattern, reading in POLYPHONE_RULES:
        for match in pattern.finditer(text):
            readings[match.start(1)] = reading
    return readings


def resolve_readings(words: Sequence[str], is_spoken: Sequence[bool], lexicon: Lexicon) -> list[Reading]:
    """Return the reading of each word of a sentence.

    Parameters
    ----------
    words
        All words of the sentence, punctuation too: the context decides the readings.
    is_spoken
        Whether the reading of each word is needed, [len(words)].
    lexicon
        Readings of whole words that override all other sources.

    Returns
    -------
    list of Reading
        The syllables of each word, [len(words)]; empty where `is_spoken` is false.

    Raises
    ------
    InputError
        If a character has no known reading; the message names it.
    """
    in_context = _read_characters(words)
    readings: list[Reading] = []
    at = 0
    for word, is_needed in zip(words, is_spoken, strict=True):
        if not is_needed:
            readings.append(())
        elif word in lexicon:
            readings.append(lexicon[word])
        else:
            characters = zip(word, in_context[at : at + len(word)], strict=True)
            readings.append(tuple(BASE_TONES.get(c) or reading or _read_character(c) for c, reading in characters))
        at += len(word)
    return readings
