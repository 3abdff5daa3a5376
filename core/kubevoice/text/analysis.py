"""The front end's result: sentences, words and syllables."""

from dataclasses import asdict, dataclass
from typing import Any

from kubevoice.text.english import Phone
from kubevoice.text.ssml.spans import Notice
from kubevoice.text.traced_text import Origin
from kubevoice.text.units import Unit, build_english_units, build_word_units

__all__ = ["Analysis", "Decision", "Sentence", "Syllable", "Word"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What decided how a part of the text is read.

    Attributes
    ----------
    offset
        Code-point index of its beginning in the input; None where normalisation made it.
    written
        The part.
    reading
        The words in its place, or its pinyin before sandhi.
    by
        "rule: " and the name of a rule of normalisation, or a source of readings of docs/front-end.md.
    """

    offset: Origin
    written: str
    reading: str
    by: str


@dataclass(frozen=True, slots=True)
class Syllable:
    """A syllable and the character that it is the reading of.

    Attributes
    ----------
    char
        The character, or the two of an erhua.
    offset
        Code-point index of the (first) character in the input; None where normalisation made it.
    base
        Pinyin with a tone digit before sandhi.
    pinyin
        Pinyin with a tone digit after sandhi.
    by
        What decided the base: a name of docs/front-end.md.
    """

    char: str
    offset: Origin
    base: str
    pinyin: str
    by: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its pronunciation: Mandarin syllables or English phones.

    Attributes
    ----------
    text
        The word.
    syllables
        Its syllables; empty for a word with English phones.
    phones
        Its English phones with their stress; empty for a word with syllables.
    offset
        Code-point index of its beginning in the input; None where normalisation made it.
    """

    text: str
    syllables: tuple[Syllable, ...]
    phones: tuple[Phone, ...] = ()
    offset: Origin = None

    @property
    def pinyin(self) -> tuple[str, ...]:
        """The syllables after sandhi."""
        return tuple(syllable.pinyin for syllable in self.syllables)

    @property
    def units(self) -> list[Unit]:
        """The units of the word, the network's input."""
        return build_english_units(self.phones) if self.phones else build_word_units(self.pinyin)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence after normalisation, with its words and its N units.

    Attributes
    ----------
    text, normalized
        The sentence after normalisation.
    words
        Its words, without punctuation.
    units
        Its units, [N]; the last is the boundary #4.
    sources
        For each unit, the index of the span of `analyse_spans` that it comes from, [N].
    begin
        Code-point index of its first character that is in the input; None if none is.
    end
        The index after its last character that is in the input.
    """

    text: str
    normalized: str
    words: tuple[Word, ...]
    units: tuple[Unit, ...]
    sources: tuple[int, ...]
    """Which of the spans that were analysed each unit comes from."""
    begin: Origin = None
    """Code-point index of its first character that stands in the input; None if none does."""
    end: Origin = None
    """Index after its last one."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """The front end's result for a text.

    Attributes
    ----------
    text
        The input.
    sentences
        Its sentences.
    notices
        Characters that have no reading, and tags, which are passed over.
    decisions
        What decided each part, if that was asked.
    """

    text: str
    sentences: tuple[Sentence, ...]
    notices: tuple[Notice, ...] = ()
    decisions: tuple[Decision, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the result as values for JSON.

        Returns
        -------
        dict[str, Any]
            text, normalized, words, pinyin and units; notices and decisions only if there are any.
        """
        decisions = {"decisions": [asdict(decision) for decision in self.decisions]} if self.decisions else {}
        notices = {"notices": [asdict(notice) for notice in self.notices]} if self.notices else {}
        return (
            {
                "text": self.text,
                "normalized": "".join(s.normalized for s in self.sentences),
                "words": [word.text for s in self.sentences for word in s.words],
                "pinyin": [asdict(syllable) for s in self.sentences for word in s.words for syllable in word.syllables],
                "units": [str(unit) for s in self.sentences for unit in s.units],
            }
            | notices
            | decisions
        )
