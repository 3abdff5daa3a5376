"""Phrases of the dictionary that tell how a character of several readings is read in them."""

import lzma
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Self

__all__ = ["CODES", "Phrases", "Vote"]

CODES = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Vote:
    """What the dictionary says of a character: its reading in a phrase of `length` characters, at place `place`."""

    reading: str
    length: int
    place: int


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases of pypinyin-dict's large_pinyin in which a character has several readings elsewhere.

    `readings` has each character's readings, the commonest first; `codes` the place of each in that list, by phrase.
    """

    readings: dict[str, tuple[str, ...]]
    codes: dict[str, str]
    longest: int

    @classmethod
    @cache
    def load(cls) -> Self:
        """Read the table, which scripts/make_phrases.py compiles."""
        packed = (resources.files("kubevoice.text") / "tables" / "phrases.txt.xz").read_bytes()
        *lines, _, phrases, codes = lzma.decompress(packed).decode().split("\n")
        readings = {line[0]: tuple(line[2:].split(" ")) for line in lines}
        known = dict(zip(phrases.split(" "), codes.split(" "), strict=True))
        return cls(readings, known, max(map(len, known)))

    def of(self, phrase: str) -> tuple[str, ...] | None:
        """Return the readings of a phrase, None if the table has it not."""
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

    def forward(self, text: str) -> list[Vote | None]:
        """Return a vote for each character, by the longest match from the left; None where no phrase matches."""
        votes: list[Vote | None] = []
        while len(votes) < len(text):
            at = len(votes)
            votes += self._votes(text[at : at + self._length_from(text, at)])
        return votes

    def backward(self, text: str) -> list[Vote | None]:
        """Return a vote for each character, by the longest match from the right; None where no phrase matches."""
        votes: list[Vote | None] = []
        end = len(text)
        while end:
            length = self._length_to(text, end)
            votes[:0] = self._votes(text[end - length : end])
            end -= length
        return votes

    def _votes(self, phrase: str) -> list[Vote | None]:
        found = self.of(phrase) if len(phrase) > 1 else None
        return [None] * len(phrase) if found is None else [Vote(r, len(found), i) for i, r in enumerate(found)]
