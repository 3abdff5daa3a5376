"""The phrase dictionary: the readings that polyphones have in known phrases."""

import lzma
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Self

__all__ = ["CODES", "PhraseDictionary", "PhraseMatch"]

CODES = "0123456789abcdefghijklmnopqrstuvwxyz"
"""Digits by which the table writes the index of a reading."""


@dataclass(frozen=True, slots=True)
class PhraseMatch:
    """The reading of a character in a phrase of the dictionary.

    Attributes
    ----------
    reading
        Pinyin with a tone digit.
    length
        Characters of the phrase.
    place
        Index of the character in the phrase.
    """

    reading: str
    length: int
    place: int


@dataclass(frozen=True, slots=True)
class PhraseDictionary:
    """The phrases of pypinyin-dict's large_pinyin that have a polyphone in them.

    Attributes
    ----------
    readings
        All readings of each character, the commonest first.
    codes
        By phrase, the index of each character's reading in `readings`, a digit of `CODES` each.
    longest
        Characters of the longest phrase.
    """

    readings: dict[str, tuple[str, ...]]
    codes: dict[str, str]
    longest: int

    @classmethod
    @cache
    def load(cls) -> Self:
        """Read the table that ships with this package; scripts/make_phrases.py compiles it.

        Returns
        -------
        PhraseDictionary
            The dictionary; one object for the whole process.
        """
        packed = (resources.files("kubevoice.text") / "tables" / "phrases.txt.xz").read_bytes()
        *lines, _, phrases, codes = lzma.decompress(packed).decode().split("\n")
        readings = {line[0]: tuple(line[2:].split(" ")) for line in lines}
        phrase_codes = dict(zip(phrases.split(" "), codes.split(" "), strict=True))
        return cls(readings, phrase_codes, max(map(len, phrase_codes)))

    def get(self, phrase: str) -> tuple[str, ...] | None:
        """Return the readings of a phrase.

        Parameters
        ----------
        phrase
            A phrase of two or more characters.

        Returns
        -------
        tuple[str, ...] | None
            The reading of each character; None if the dictionary does not have the phrase.
        """
        codes = self.codes.get(phrase)
        if codes is None:
            return None
        return tuple(self.readings[c][CODES.index(code)] for c, code in zip(phrase, codes, strict=True))

    def _length_from(self, text: str, at: int) -> int:
        longest = min(self.longest, len(text) - at)
        return next((n for n in range(longest, 1, -1) if text[at : at + n] in self.codes), 1)

    def _length_to(self, text: str, end: int) -> int:
        longest = min(self.longest, end)
        return next((n for n in range(longest, 1, -1) if text[end - n : end] in self.codes), 1)

    def match_forward(self, text: str) -> list[PhraseMatch | None]:
        """Match a text by the longest phrase from the left.

        Parameters
        ----------
        text
            A sentence of T characters.

        Returns
        -------
        list[PhraseMatch | None]
            A match for each character, [T]; None where no phrase matches.
        """
        matches: list[PhraseMatch | None] = []
        while len(matches) < len(text):
            at = len(matches)
            matches += self._matches(text[at : at + self._length_from(text, at)])
        return matches

    def match_backward(self, text: str) -> list[PhraseMatch | None]:
        """Match a text by the longest phrase from the right.

        Parameters
        ----------
        text
            A sentence of T characters.

        Returns
        -------
        list[PhraseMatch | None]
            A match for each character, [T]; None where no phrase matches.
        """
        matches: list[PhraseMatch | None] = []
        end = len(text)
        while end:
            length = self._length_to(text, end)
            matches[:0] = self._matches(text[end - length : end])
            end -= length
        return matches

    def _matches(self, phrase: str) -> list[PhraseMatch | None]:
        readings = self.get(phrase) if len(phrase) > 1 else None
        if readings is None:
            return [None] * len(phrase)
        return [PhraseMatch(reading, len(readings), i) for i, reading in enumerate(readings)]
