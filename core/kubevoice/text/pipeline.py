"""All stages in a row."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kubevoice.errors import InputError
from kubevoice.text.characters import clean, to_chinese_punctuation
from kubevoice.text.normalise import normalise
from kubevoice.text.pinyin import Lexicon, readings
from kubevoice.text.sandhi import apply_sandhi
from kubevoice.text.segment import PAUSES, is_han, sentences, words
from kubevoice.text.units import Unit, break_unit, erhua, word_units

__all__ = ["Analysis", "Sentence", "Word", "analyse"]

PHRASE_LENGTH = 7
"""Syllables after which a break #2 is put: people take no longer to say one breath group."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its reading as spoken."""

    text: str
    pinyin: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it was cut from the normalised text, its words and its units."""

    text: str
    normalized: str
    words: tuple[Word, ...]
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the front end made of a text."""

    text: str
    sentences: tuple[Sentence, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "text": self.text,
            "normalized": "".join(s.normalized for s in self.sentences),
            "words": [word.text for s in self.sentences for word in s.words],
            "pinyin": [list(word.pinyin) for s in self.sentences for word in s.words],
            "units": [str(unit) for s in self.sentences for unit in s.units],
        }


def analyse(text: str, *, lexicon: Lexicon | None = None) -> Analysis:
    """Turn text into sentences of units.

    Raises InputError if nothing in the text can be spoken, or a character has no reading.
    """
    normalised = to_chinese_punctuation(normalise(clean(text)))
    found = [sentence for piece in sentences(normalised) if (sentence := _sentence(piece, lexicon or {}))]
    if not found:
        raise InputError(f"{text[:40]!r} has nothing that can be spoken in Mandarin; give it some Chinese text")
    return Analysis(text, tuple(found))


def _phrases(sentence: str) -> Iterator[list[str]]:
    """Words between pauses; what is neither Chinese nor a pause (quotes, brackets) is not spoken."""
    phrase: list[str] = []
    for word in words(sentence):
        spoken = "".join(c for c in word if is_han(c))
        if spoken:
            phrase.append(spoken)
        elif phrase and any(c in PAUSES for c in word):
            yield phrase
            phrase = []
    if phrase:
        yield phrase


def _sentence(sentence: str, lexicon: Lexicon) -> Sentence | None:
    spoken: list[Word] = []
    units: list[Unit] = []
    for phrase in _phrases(sentence):
        since_break = 0
        for text, reading in zip(phrase, apply_sandhi(phrase, readings(phrase, lexicon)), strict=True):
            syllables = erhua(text, reading)
            if since_break:
                long = since_break + len(syllables) > PHRASE_LENGTH
                units.append(break_unit(2 if long else 1))
                since_break = 0 if long else since_break
            units += word_units(syllables)
            since_break += len(syllables)
            spoken.append(Word(text, tuple(syllables)))
        units.append(break_unit(3))
    if not units:
        return None
    units[-1] = break_unit(4)
    return Sentence(sentence, sentence, tuple(spoken), tuple(units))
