"""The front end's settings of a voice."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from kubevoice.text.characters import clean
from kubevoice.text.g2p import Lexicon, Reading

__all__ = ["LEXICON_FILE", "English", "FrontEndConfig", "ReadingOptions"]

English = Literal["syllables", "phones"]
LEXICON_FILE = "lexicon.txt"
"""The file of a dataset or a bundle with the voice's own readings."""


def _compile(words: Iterable[str], border: str = "") -> re.Pattern[str] | None:
    """Return a pattern of the words, the longest first; None if there are none."""
    alternatives = [
        (rf"(?<!{border})" if border and re.match(border, word) else "")
        + re.escape(word)
        + (rf"(?!{border})" if border and re.match(border, word[-1]) else "")
        for word in sorted(words, key=len, reverse=True)
    ]
    return re.compile("|".join(alternatives)) if alternatives else None


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How the text of one request is read, beside the settings of its voice.

    Attributes
    ----------
    lexicon
        Readings that override those of the voice, and words that are read instead of others.
    hints
        Whether plain text may have readings and pauses in it.
    keep_code
        Whether fenced code in plain text is read.
    """

    lexicon: Lexicon | None = None
    hints: bool = True
    keep_code: bool = False


@dataclass(frozen=True, slots=True)
class FrontEndConfig:
    """The front end's settings of a voice.

    Attributes
    ----------
    lexicon
        Readings that override all other sources, and words that are read instead of others.
    readings, words
        The two parts of the lexicon; the second by the cleaned word.
    reading_pattern, word_pattern
        Patterns that match their keys; None if there are none.
    english
        What English words become: the nearest Mandarin "syllables", or English "phones", which need a voice that was
        trained on English.
    strict
        Whether a character without a reading is an error. Otherwise it is passed over, and a notice names it.
    hints
        Whether plain text may have readings and pauses in it (text/inline_hints.py).
    keep_code
        Whether fenced code in plain text is read; otherwise it is left out.
    neutral_tones
        Whether words such as 衣服 end with a neutral tone. A dataset may have full tones there.
    """

    lexicon: Lexicon = field(default_factory=dict)
    english: English = "syllables"
    strict: bool = False
    hints: bool = True
    keep_code: bool = False
    neutral_tones: bool = True
    readings: Mapping[str, Reading] = field(init=False, compare=False)
    words: Mapping[str, str] = field(init=False, compare=False)
    reading_pattern: re.Pattern[str] | None = field(init=False, compare=False)
    word_pattern: re.Pattern[str] | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the parts of the lexicon, once for all texts."""
        readings = {word: reading for word, reading in self.lexicon.items() if not isinstance(reading, str)}
        words = {clean(word).text: reading for word, reading in self.lexicon.items() if isinstance(reading, str)}
        words.pop("", None)
        object.__setattr__(self, "readings", readings)
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "reading_pattern", _compile(readings))
        # A word of letters or figures is no part of a longer one: 80后 is not in 180后.
        object.__setattr__(self, "word_pattern", _compile(words, "[A-Za-z0-9]"))

    def with_options(self, options: ReadingOptions | None) -> "FrontEndConfig":
        """Return a copy for a request.

        Parameters
        ----------
        options
            Of the request; None for the defaults.

        Returns
        -------
        FrontEndConfig
            The new config, or this one if the options change nothing.
        """
        options = options or ReadingOptions()
        hints, keep_code = self.hints and options.hints, self.keep_code or options.keep_code
        if not options.lexicon and (hints, keep_code) == (self.hints, self.keep_code):
            return self
        return replace(self, lexicon={**self.lexicon, **(options.lexicon or {})}, hints=hints, keep_code=keep_code)
