"""What an SSML document asks for, as one flat list."""

from dataclasses import dataclass

__all__ = ["Break", "Document", "Mark", "Notice", "Span", "Speech", "Style"]


@dataclass(frozen=True, slots=True)
class Style:
    """How a stretch of text is to be spoken; None is whatever the request says."""

    speaker: str | None = None
    emotion: str | None = None
    intensity: float = 1.0
    rate: float = 1.0
    """Factor on the speed."""
    pitch: float = 0.0
    """Semitones."""
    volume: float = 1.0
    """Factor on the samples."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Text in one style.

    `offset` is where it begins in the document, in code points; None if it does not stand there.
    """

    text: str
    style: Style
    offset: int | None
    pinyin: tuple[str, ...] = ()
    """Its syllables with tones, where the document gives them."""
    whole: bool = False
    """One word, wherever the front end would cut."""
    literal: bool = False
    """Already in words: numbers and signs in it have been read."""


@dataclass(frozen=True, slots=True)
class Break:
    """Silence of so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A place whose time the caller wants to know: a bookmark."""

    name: str


Span = Speech | Break | Mark


@dataclass(frozen=True, slots=True)
class Notice:
    """Something in a document that is not obeyed; its text is spoken all the same. Line and column count from 1."""

    message: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document."""

    spans: tuple[Span, ...]
    notices: tuple[Notice, ...]
