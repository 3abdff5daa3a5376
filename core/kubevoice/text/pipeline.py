"""All stages in a row."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from kubevoice.errors import InputError
from kubevoice.text.characters import clean, to_chinese_punctuation
from kubevoice.text.normalise import normalise
from kubevoice.text.pinyin import Lexicon, readings
from kubevoice.text.sandhi import apply_sandhi
from kubevoice.text.segment import PAUSES, is_han, sentences, words
from kubevoice.text.traced import Origin, Traced
from kubevoice.text.units import Unit, break_unit, erhua, word_units

__all__ = ["Analysis", "Sentence", "Syllable", "Word", "analyse"]

PHRASE_LENGTH = 7
"""Syllables after which a break #2 is put: people take no longer to say one breath group."""


@dataclass(frozen=True, slots=True)
class Syllable:
    """A syllable as it is spoken, and what it stands for.

    `char` is the character, or the two of an erhua; `offset` is the code-point index of the (first) character in the
    input, None where normalisation made it. `base` and `pinyin` end in a tone digit, before and after sandhi.
    """

    char: str
    offset: Origin
    base: str
    pinyin: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its reading."""

    text: str
    syllables: tuple[Syllable, ...]

    @property
    def pinyin(self) -> tuple[str, ...]:
        """The syllables as spoken."""
        return tuple(syllable.pinyin for syllable in self.syllables)


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
            "pinyin": [asdict(syllable) for s in self.sentences for word in s.words for syllable in word.syllables],
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


def _phrases(sentence: Traced) -> Iterator[list[Traced]]:
    """Words between pauses; what is neither Chinese nor a pause (quotes, brackets) is not spoken."""
    phrase: list[Traced] = []
    for word in words(sentence):
        spoken = word.translate(lambda c: c if is_han(c) else "")
        if spoken:
            phrase.append(spoken)
        elif phrase and any(c in PAUSES for c in word.text):
            yield phrase
            phrase = []
    if phrase:
        yield phrase


def _word(text: Traced, base: tuple[str, ...], spoken: tuple[str, ...]) -> Word:
    """Pair a word's characters with its syllables; a lexicon may give it another number of them."""
    written = list(zip(text.text, text.origins, strict=True))
    if len(written) != len(spoken):
        written = [(text.text, text.origins[0])] * len(spoken)
    merged = erhua(text.text, spoken)
    if len(merged) < len(spoken):
        written[-2:] = [(written[-2][0] + written[-1][0], written[-2][1])]
    pairs = zip(written, erhua(text.text, base), merged, strict=True)
    return Word(text.text, tuple(Syllable(char, offset, before, after) for (char, offset), before, after in pairs))


def _sentence(sentence: Traced, lexicon: Lexicon) -> Sentence | None:
    spoken: list[Word] = []
    units: list[Unit] = []
    for phrase in _phrases(sentence):
        since_break = 0
        texts = [word.text for word in phrase]
        bases = readings(texts, lexicon)
        for text, base, reading in zip(phrase, bases, apply_sandhi(texts, bases), strict=True):
            word = _word(text, base, reading)
            if since_break:
                long = since_break + len(word.syllables) > PHRASE_LENGTH
                units.append(break_unit(2 if long else 1))
                since_break = 0 if long else since_break
            units += word_units(word.pinyin)
            since_break += len(word.syllables)
            spoken.append(word)
        units.append(break_unit(3))
    if not units:
        return None
    units[-1] = break_unit(4)
    return Sentence(sentence.text, sentence.text, tuple(spoken), tuple(units))
