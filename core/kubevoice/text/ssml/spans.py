"""The content of an SSML document as one flat list of spans."""

from dataclasses import dataclass

__all__ = ["Break", "Document", "Mark", "Notice", "Span", "Speech", "Style"]


@dataclass(frozen=True, slots=True)
class Style:
    """How a span is to be synthesized, relative to the request.

    Attributes
    ----------
    speaker, emotion
        Names; None keeps those of the request.
    intensity
        Intensity of the emotion, 0 to 2.
    rate
        Factor on the speed.
    pitch
        Semitones.
    volume
        Factor on the samples.
    """

    speaker: str | None = None
    emotion: str | None = None
    intensity: float = 1.0
    rate: float = 1.0
    pitch: float = 0.0
    volume: float = 1.0


@dataclass(frozen=True, slots=True)
class Speech:
    """Text in one style.

    Attributes
    ----------
    text
        The text.
    style
        Its style.
    offset
        Code-point index of its beginning in the document; None if it is not in the document.
    pinyin
        Its syllables with tone digits, where the document gives them.
    is_word
        Whether it is one word, which the front end does not split.
    literal
        Whether it is already in words and needs no normalisation.
    origins
        Of text whose markup is left out already, the index of each character from `offset`; None where it was not in
        the input. If omitted, the characters follow one another, and markup is left out later.
    """

    text: str
    style: Style
    offset: int | None
    pinyin: tuple[str, ...] = ()
    is_word: bool = False
    literal: bool = False
    origins: tuple[int | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """A silence of a length in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A bookmark: the result has its time."""

    name: str


Span = Speech | Break | Mark


@dataclass(frozen=True, slots=True)
class Notice:
    """A part of a document that has no effect; its text is read. Line and column count from 1."""

    message: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document: its spans in order, and notices about parts that have no effect."""

    spans: tuple[Span, ...]
    notices: tuple[Notice, ...]
