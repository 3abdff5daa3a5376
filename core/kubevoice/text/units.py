"""The last stage of the front end: linguistic units and their ids (docs/reference/kantts-format.md)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from kubevoice.errors import InputError
from kubevoice.text.syllables import get_phones, read_table

__all__ = [
    "EMOTIONS",
    "STREAMS",
    "Unit",
    "UnitTables",
    "build_boundary_unit",
    "build_english_units",
    "build_word_units",
    "parse_units",
]

STREAMS = ("sy", "tone", "syllable_flag", "word_segment")
PAD, EOS = "_", "~"


@dataclass(frozen=True, slots=True)
class Unit:
    """One symbol: a phone with its tone and its place in syllable and word, or a prosodic boundary #1 to #4.

    Attributes
    ----------
    sy
        The phone, or the boundary.
    tone
        "tone1" to "tone5"; "tone0" or "tone1" for the stress of English; "tone_none" for a boundary.
    syllable_flag
        Place in the syllable: "s_begin", "s_middle", "s_end", "s_both" or "s_none".
    word_segment
        Place in the word: "word_begin", "word_middle", "word_end", "word_both" or "word_none".

    References
    ----------
    docs/reference/kantts-format.md.
    """

    sy: str
    tone: str
    syllable_flag: str
    word_segment: str

    @override
    def __str__(self) -> str:
        return "{" + f"{self.sy}${self.tone}${self.syllable_flag}${self.word_segment}" + "}"


def parse_units(text: str) -> list[Unit]:
    """Read units written as `{sy$tone$flag$word...}`.

    Parameters
    ----------
    text
        Units separated by white space; further fields are ignored.

    Returns
    -------
    list[Unit]
        The units.

    Raises
    ------
    InputError
        If a unit has too few fields.
    """
    fields = [match.split("$") for match in re.findall(r"\{([^}]*)\}", text)]
    if any(len(parts) < len(STREAMS) for parts in fields):
        raise InputError(f"{text[:80]!r}: each unit needs the fields {'$'.join(STREAMS)}")
    return [Unit(*parts[: len(STREAMS)]) for parts in fields]


ENGLISH_VOWELS = frozenset(["aa", "ae", "ah", "ao", "aw", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"])


def build_word_units(syllables: Sequence[str]) -> list[Unit]:
    """Return the units of a Mandarin word.

    Parameters
    ----------
    syllables
        Its syllables with tone digits.

    Returns
    -------
    list[Unit]
        Its phones with their flags.

    Raises
    ------
    InputError
        If the tables do not have a syllable.
    """
    return _build_units([(get_phones(syllable[:-1]), f"tone{syllable[-1]}") for syllable in syllables])


def build_english_units(stressed_phones: Sequence[tuple[str, str]]) -> list[Unit]:
    """Return the units of an English word; a syllable has the stress of its vowel as its tone.

    Parameters
    ----------
    stressed_phones
        Each phone with its stress, "0" or "1".

    Returns
    -------
    list[Unit]
        Its phones with their flags.
    """
    syllables: list[tuple[tuple[str, ...], str]] = []
    onset: list[str] = []
    for number, (phone, stress) in enumerate(stressed_phones):
        onset.append(phone)
        following = stressed_phones[number + 1][0] if number + 1 < len(stressed_phones) else ""
        if phone in ENGLISH_VOWELS:
            syllables.append((tuple(onset), f"tone{stress}"))
            onset = []
        elif syllables and following not in ENGLISH_VOWELS:
            # A consonant that is not before a vowel belongs to the syllable before it.
            syllables[-1] = ((*syllables[-1][0], *onset), syllables[-1][1])
            onset = []
    return _build_units([*syllables, (tuple(onset), "tone0")] if onset else syllables)


def _build_units(syllables: Sequence[tuple[tuple[str, ...], str]]) -> list[Unit]:
    count = sum(len(phones) for phones, _ in syllables)
    last = len(syllables) - 1
    units = []
    for s, (phones, tone) in enumerate(syllables):
        for p, phone in enumerate(phones):
            flag = _build_flag(p, len(phones), "s")
            if count == 1:
                segment = "word_both"
            elif last == 0:
                segment = "word_begin" if p == 0 else "word_end" if p == len(phones) - 1 else "word_middle"
            elif s == 0:
                segment = "word_begin" if flag in ("s_begin", "s_both") else "word_middle"
            elif s == last:
                segment = "word_end" if flag in ("s_end", "s_both") else "word_middle"
            else:
                segment = "word_middle"
            units.append(Unit(phone, tone, flag, segment))
    return units


def _build_flag(index: int, count: int, prefix: str) -> str:
    if count == 1:
        return f"{prefix}_both"
    return f"{prefix}_begin" if index == 0 else f"{prefix}_end" if index == count - 1 else f"{prefix}_middle"


def build_boundary_unit(level: int) -> Unit:
    """Return the unit of a prosodic boundary.

    Parameters
    ----------
    level
        1 (prosodic word) to 4 (sentence end).

    Returns
    -------
    Unit
        The unit.
    """
    return Unit(f"#{level}", "tone_none", "s_none", "word_none")


@dataclass(frozen=True, slots=True)
class UnitTables:
    """The ids of all streams' tokens.

    Attributes
    ----------
    ids
        Id of each token, by stream.

    References
    ----------
    docs/reference/kantts-format.md.
    """

    ids: dict[str, dict[str, int]]

    @staticmethod
    @cache
    def load(language: str = "PinYin") -> "UnitTables":
        """Read the tables of a unit language.

        Parameters
        ----------
        language
            Name of the unit language.

        Returns
        -------
        UnitTables
            The tables; one object for each language.

        Raises
        ------
        InputError
            If the language does not exist.
        """
        try:
            rows = read_table(f"vocab_{language}.tsv")[1:]
        except FileNotFoundError:
            raise InputError(
                f"unit language {language!r} does not exist; there are: PinYin, Sichuan, WuuShanghai, ZhHK"
            ) from None
        ids: dict[str, dict[str, int]] = {stream: {} for stream in STREAMS}
        for stream, number, token in rows:
            if stream in ids:
                ids[stream][token.removeprefix("@")] = int(number)
        return UnitTables(ids)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of each stream's embedding table, those for padding, end of sentence and mask included."""
        return {stream: len(tokens) for stream, tokens in self.ids.items()}

    @property
    def pad(self) -> dict[str, int]:
        """Id of padding in each stream."""
        return {stream: tokens[PAD] for stream, tokens in self.ids.items()}

    @property
    def eos(self) -> dict[str, int]:
        """Id of the end of a sentence in each stream."""
        return {stream: tokens[EOS] for stream, tokens in self.ids.items()}

    def encode(self, units: Sequence[Unit]) -> dict[str, NDArray[np.int64]]:
        """Return the ids of units, without an end of sentence.

        Parameters
        ----------
        units
            N units.

        Returns
        -------
        dict[str, NDArray[np.int64]]
            Ids by stream, [N] each.

        Raises
        ------
        InputError
            If a unit is in no table; the message names the first.
        """
        rows: dict[str, list[int]] = {stream: [] for stream in STREAMS}
        for number, unit in enumerate(units):
            for stream in STREAMS:
                value = getattr(unit, stream)
                if value not in self.ids[stream]:
                    raise InputError(f"unit {number} {unit}: {value!r} is not a {stream} of this voice")
                rows[stream].append(self.ids[stream][value])
        return {stream: np.array(row, np.int64) for stream, row in rows.items()}


EMOTIONS: tuple[str, ...] = (
    "none", "neutral", "angry", "disgust", "fear", "happy", "sad", "surprise", "calm", "gentle", "relax", "lyrical",
    "serious", "disgruntled", "satisfied", "disappointed", "excited", "anxiety", "jealousy", "hate", "pity",
    "pleasure", "arousal", "dominance", "placeholder1", "placeholder2", "placeholder3", "placeholder4",
    "placeholder5", "placeholder6", "placeholder7", "placeholder8", "placeholder9",
)  # fmt: skip
"""KAN-TTS's emotions; the id of an emotion is its index."""
