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
    """The times of a syllable in seconds, and its character; `offset` is None where normalisation made it."""

    char: str
    pinyin: str
    offset: Origin
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class WordTime:
    """The times of a word in seconds, and of its characters; English in its own phones has none."""

    text: str
    offset: Origin
    start: float
    end: float
    characters: tuple[CharacterTime, ...]


@dataclass(frozen=True, slots=True)
class SentenceTime:
    """The times of a sentence in seconds.

    `begin` and `finish` are the code-point indices of its first character in the input and after its last one; None if
    none of its characters is in the input.
    """

    text: str
    begin: Origin
    finish: Origin
    start: float
    end: float
    words: tuple[WordTime, ...]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A `<mark>` of a document and its time in seconds."""

    name: str
    time: float


@dataclass(frozen=True, slots=True)
class Timing:
    """All times of a speech in seconds from its beginning, and its duration."""

    duration: float
    sentences: tuple[SentenceTime, ...]
    bookmarks: tuple[Bookmark, ...]


@dataclass(frozen=True, slots=True)
class Times:
    """The times of some sentences and bookmarks of a speech."""

    sentences: tuple[SentenceTime, ...] = ()
    bookmarks: tuple[Bookmark, ...] = ()

    def __add__(self, other: "Times") -> "Times":
        return Times(self.sentences + other.sentences, self.bookmarks + other.bookmarks)


def shift_times(times: Times, seconds: float, characters: int) -> Times:
    """Return times that are moved to a later place of a speech.

    Parameters
    ----------
    times
        The times.
    seconds
        Seconds to add to every time.
    characters
        Code points to add to every offset.

    Returns
    -------
    Times
        The moved times.
    """

    def shift_origin(origin: Origin) -> Origin:
        return None if origin is None else origin + characters

    def shift_character(one: CharacterTime) -> CharacterTime:
        return replace(one, offset=shift_origin(one.offset), start=one.start + seconds, end=one.end + seconds)

    def shift_word(one: WordTime) -> WordTime:
        within = tuple(map(shift_character, one.characters))
        return WordTime(one.text, shift_origin(one.offset), one.start + seconds, one.end + seconds, within)

    def shift_sentence(one: SentenceTime) -> SentenceTime:
        begin, finish, words = shift_origin(one.begin), shift_origin(one.finish), tuple(map(shift_word, one.words))
        return SentenceTime(one.text, begin, finish, one.start + seconds, one.end + seconds, words)

    bookmarks = tuple(replace(one, time=one.time + seconds) for one in times.bookmarks)
    return Times(tuple(map(shift_sentence, times.sentences)), bookmarks)


def time_parts(engine: Engine, parts: Sequence[Part], controls: Controls) -> Timing:
    """Return the times of the samples of `synthesize_parts` without decoding.

    Parameters
    ----------
    engine
        The voice.
    parts
        The parts of a script.
    controls
        Controls of the request.

    Returns
    -------
    Timing
        The times of all sentences and bookmarks, and the duration.

    Raises
    ------
    InputError
        If the voice cannot synthesize a part.
    """
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
    """Return the times of a passage.

    Parameters
    ----------
    engine
        The voice.
    passage
        A sentence of N units with its bookmarks.
    durations
        Mel frames of each unit, [N].
    at
        The sample at which the sentence begins.

    Returns
    -------
    Times
        The times of the sentence and its bookmarks.
    """
    ends = (durations.cumsum() * engine.manifest.hop).tolist()
    places = [(at + end) / engine.sample_rate for end in (0, *ends)]
    bookmarks = tuple(Bookmark(mark.name, places[unit]) for unit, mark in passage.marks)
    return Times((time_sentence(passage.sentence, places),), bookmarks)


def time_mark(engine: Engine, mark: Mark, at: int) -> Times:
    """Return the time of a bookmark.

    Parameters
    ----------
    engine
        The voice.
    mark
        The bookmark.
    at
        Its sample.

    Returns
    -------
    Times
        The time of the bookmark.
    """
    return Times(bookmarks=(Bookmark(mark.name, at / engine.sample_rate),))


def time_sentence(sentence: Sentence, places: Places) -> SentenceTime:
    """Return the times of a sentence, its words and characters.

    Parameters
    ----------
    sentence
        A sentence of N units.
    places
        Seconds at which each unit begins and the last one ends, [N + 1].

    Returns
    -------
    SentenceTime
        The times.
    """
    words: list[WordTime] = []
    at = 0
    for word in sentence.words:
        while sentence.units[at].sy.startswith("#"):  # prosodic boundaries are between words and belong to none
            at += 1
        units = sentence.units[at : at + len(word.units)]
        inside = places[at : at + len(units) + 1]
        words.append(
            WordTime(word.text, word.offset, inside[0], inside[-1], tuple(_time_characters(word, units, inside)))
        )
        at += len(units)
    return SentenceTime(sentence.text, sentence.begin, sentence.end, places[0], places[-1], tuple(words))


def _time_characters(word: Word, units: Sequence[Unit], places: Places) -> Iterator[CharacterTime]:
    if not word.syllables:
        return
    starts = [i for i, unit in enumerate(units) if unit.syllable_flag in ("s_begin", "s_both")]
    for syllable, start, end in zip(word.syllables, starts, [*starts[1:], len(units)], strict=True):
        yield CharacterTime(syllable.char, syllable.pinyin, syllable.offset, places[start], places[end])
