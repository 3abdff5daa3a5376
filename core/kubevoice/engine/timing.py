"""Times of words, characters and bookmarks, from the predicted durations alone: nothing is decoded.

The same text with the same controls always has the same durations, so these times hold for cached audio too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import Controls
from kubevoice.engine.engine import Engine
from kubevoice.engine.script import iter_segments
from kubevoice.text import Part, Passage, Sentence, Unit, Word
from kubevoice.text.ssml import Mark
from kubevoice.text.traced_text import Origin

__all__ = [
    "Bookmark",
    "CharacterTime",
    "SentenceTime",
    "Times",
    "Timing",
    "WordTime",
    "shift_times",
    "time_mark",
    "time_parts",
    "time_passage",
    "time_sentence",
]

Places = Sequence[float]
"""Seconds at which each unit begins, and the last one ends [N + 1]."""


@dataclass(frozen=True, slots=True)
class CharacterTime:
    """A syllable as spoken and the character it stands for; `offset` is None where normalisation made it."""

    char: str
    pinyin: str
    offset: Origin
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class WordTime:
    """A word as spoken; English spoken in its own phones has no characters."""

    text: str
    offset: Origin
    start: float
    end: float
    characters: tuple[CharacterTime, ...]


@dataclass(frozen=True, slots=True)
class SentenceTime:
    """A sentence as spoken; what of it stands in the input lies from `begin` to before `finish`, None if nothing."""

    text: str
    begin: Origin
    finish: Origin
    start: float
    end: float
    words: tuple[WordTime, ...]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A `<mark>` of a document."""

    name: str
    time: float


@dataclass(frozen=True, slots=True)
class Timing:
    """All times of a speech in seconds from its beginning; `duration` is its length."""

    duration: float
    sentences: tuple[SentenceTime, ...]
    bookmarks: tuple[Bookmark, ...]


@dataclass(frozen=True, slots=True)
class Times:
    """Some of the times of a speech: those of whole sentences, and of bookmarks."""

    sentences: tuple[SentenceTime, ...] = ()
    bookmarks: tuple[Bookmark, ...] = ()

    def __add__(self, other: "Times") -> "Times":
        return Times(self.sentences + other.sentences, self.bookmarks + other.bookmarks)


def shift_times(times: Times, seconds: float, characters: int) -> Times:
    """Return the times of a speech that begins so much later, and whose text so many characters further on."""

    def place(origin: Origin) -> Origin:
        return None if origin is None else origin + characters

    def character(one: CharacterTime) -> CharacterTime:
        return replace(one, offset=place(one.offset), start=one.start + seconds, end=one.end + seconds)

    def word(one: WordTime) -> WordTime:
        within = tuple(map(character, one.characters))
        return WordTime(one.text, place(one.offset), one.start + seconds, one.end + seconds, within)

    def sentence(one: SentenceTime) -> SentenceTime:
        begin, finish, words = place(one.begin), place(one.finish), tuple(map(word, one.words))
        return SentenceTime(one.text, begin, finish, one.start + seconds, one.end + seconds, words)

    bookmarks = tuple(replace(one, time=one.time + seconds) for one in times.bookmarks)
    return Times(tuple(map(sentence, times.sentences)), bookmarks)


def time_parts(engine: Engine, parts: Sequence[Part], controls: Controls) -> Timing:
    """Return the times of the samples of `synthesize_parts`. Raises InputError for text the voice cannot synthesize."""
    at = 0
    times = Times()
    for segment in iter_segments(engine, parts, controls):
        at += segment.leading_silence_samples
        if isinstance(segment.part, Passage):
            durations = engine.predict_durations(segment.part.sentence.units, segment.controls)
            times += time_passage(engine, segment.part, durations, at)
            at += int(durations.sum()) * engine.manifest.hop
        elif isinstance(segment.part, Mark):
            times += time_mark(engine, segment.part, at)
    return Timing(at / engine.sample_rate, times.sentences, times.bookmarks)


def time_passage(engine: Engine, passage: Passage, durations: NDArray[np.int64], at: int) -> Times:
    """Return the times of a sentence that begins at sample `at`, from the durations [N] of its units in mel frames."""
    ends = (durations.cumsum() * engine.manifest.hop).tolist()
    places = [(at + end) / engine.sample_rate for end in (0, *ends)]
    bookmarks = tuple(Bookmark(mark.name, places[unit]) for unit, mark in passage.marks)
    return Times((time_sentence(passage.sentence, places),), bookmarks)


def time_mark(engine: Engine, mark: Mark, at: int) -> Times:
    """Return the time of a bookmark at sample `at`."""
    return Times(bookmarks=(Bookmark(mark.name, at / engine.sample_rate),))


def time_sentence(sentence: Sentence, places: Places) -> SentenceTime:
    """Return a sentence's words and characters with the times of their units."""
    words: list[WordTime] = []
    at = 0
    for word in sentence.words:
        while sentence.units[at].sy.startswith("#"):  # prosodic boundaries are between words and belong to none
            at += 1
        units = sentence.units[at : at + len(word.units)]
        inside = places[at : at + len(units) + 1]
        words.append(WordTime(word.text, word.offset, inside[0], inside[-1], tuple(_characters(word, units, inside))))
        at += len(units)
    return SentenceTime(sentence.text, sentence.begin, sentence.end, places[0], places[-1], tuple(words))


def _characters(word: Word, units: Sequence[Unit], places: Places) -> Iterator[CharacterTime]:
    if not word.syllables:
        return
    starts = [i for i, unit in enumerate(units) if unit.syllable_flag in ("s_begin", "s_both")]
    for syllable, start, end in zip(word.syllables, starts, [*starts[1:], len(units)], strict=True):
        yield CharacterTime(syllable.char, syllable.pinyin, syllable.offset, places[start], places[end])
