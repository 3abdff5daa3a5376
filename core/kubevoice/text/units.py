"""The last stage: linguistic units, and the tables that turn them into ids (docs/reference/kantts-format.md)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from kubevoice.errors import InputError

__all__ = [
    "EMOTIONS",
    "STREAMS",
    "Unit",
    "UnitTables",
    "boundary_unit",
    "erhua",
    "is_syllable",
    "parse_units",
    "phones",
    "word_units",
]

STREAMS = ("sy", "tone", "syllable_flag", "word_segment")
PAD, EOS = "_", "~"


@dataclass(frozen=True, slots=True)
class Unit:
    """One symbol: a phone with its tone and place in syllable and word, or a prosodic boundary #1 to #4."""

    sy: str
    tone: str
    syllable_flag: str
    word_segment: str

    @override
    def __str__(self) -> str:
        return "{" + f"{self.sy}${self.tone}${self.syllable_flag}${self.word_segment}" + "}"


def parse_units(text: str) -> list[Unit]:
    """Read units written as `{sy$tone$flag$word...}` with spaces between; further fields are ignored."""
    fields = [match.split("$") for match in re.findall(r"\{([^}]*)\}", text)]
    if any(len(parts) < len(STREAMS) for parts in fields):
        raise InputError(f"{text[:80]!r}: each unit needs the fields {'$'.join(STREAMS)}")
    return [Unit(*parts[: len(STREAMS)]) for parts in fields]


def _table(name: str) -> list[list[str]]:
    text = (resources.files("kubevoice.text") / "tables" / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line]


@cache
def _phone_table() -> dict[str, tuple[str, ...]]:
    return {syllable: tuple(found.split()) for syllable, found in _table("pinyin_to_phones.txt")}


def _spelled(syllable: str) -> str:
    """Spell as the tables do, which write v for ü after j, q, x and y too."""
    return re.sub(r"^([jqxy])u", r"\1v", SPELLINGS.get(syllable, syllable))


def is_syllable(text: str) -> bool:
    """Tell whether the tables have a pinyin syllable of this name, written without its tone."""
    return _spelled(text) in _phone_table()


SPELLINGS = {"ê": "ei", "n": "en", "ng": "en", "m": "mu", "hm": "heng", "hng": "heng", "nue": "nve", "lue": "lve"}
"""Interjections have a vowel in the tables."""


def phones(syllable: str) -> tuple[str, ...]:
    """Return the phones of a pinyin syllable without its tone; InputError if there is none of that name."""
    found = _phone_table().get(_spelled(syllable))
    if found is None:
        raise InputError(f"pinyin syllable {syllable!r} does not exist; check the lexicon or the pinyin given")
    return found


ENGLISH_VOWELS = frozenset(["aa", "ae", "ah", "ao", "aw", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"])
FULL_ER = frozenset(
    [
        "女儿",
        "婴儿",
        "幼儿",
        "孤儿",
        "少儿",
        "胎儿",
        "健儿",
        "男儿",
        "宠儿",
        "患儿",
        "弃儿",
        "育儿",
        "新生儿",
        "妻儿",
        "小儿",
        "孩儿",
        "侄儿",
        "生儿",
        "产儿",
        "混血儿",
        "幸运儿",
        "畸形儿",
    ]
)
"""Words whose 儿 means child and is a syllable of its own."""


def erhua(text: str, syllables: Sequence[str]) -> list[str]:
    """Merge a final 儿 read er into the syllable before it where the tables have such a syllable."""
    merged = list(syllables)
    if text in FULL_ER:
        return merged
    if len(text) == len(merged) > 1 and text[-1] == "儿" and merged[-1][:-1] == "er":
        with_r = f"{merged[-2][:-1]}r"
        if is_syllable(with_r):
            merged[-2:] = [with_r + merged[-2][-1]]
    return merged


def word_units(syllables: Sequence[str]) -> list[Unit]:
    """Return the units of one word from its syllables with tone digits."""
    return _units([(phones(syllable[:-1]), f"tone{syllable[-1]}") for syllable in syllables])


def english_units(stressed_phones: Sequence[tuple[str, str]]) -> list[Unit]:
    """Return the units of an English word from its phones and their stress; a syllable has the stress of its vowel."""
    syllables: list[tuple[tuple[str, ...], str]] = []
    onset: list[str] = []
    for number, (phone, stress) in enumerate(stressed_phones):
        onset.append(phone)
        following = stressed_phones[number + 1][0] if number + 1 < len(stressed_phones) else ""
        vowel = phone in ENGLISH_VOWELS
        if vowel:
            syllables.append((tuple(onset), f"tone{stress}"))
            onset = []
        elif syllables and following not in ENGLISH_VOWELS:
            # A consonant that no vowel follows closes the syllable before it.
            syllables[-1] = ((*syllables[-1][0], *onset), syllables[-1][1])
            onset = []
    return _units([*syllables, (tuple(onset), "tone0")] if onset else syllables)


def _units(spelled: Sequence[tuple[tuple[str, ...], str]]) -> list[Unit]:
    count = sum(len(found) for found, _ in spelled)
    last = len(spelled) - 1
    units = []
    for s, (found, tone) in enumerate(spelled):
        for p, phone in enumerate(found):
            flag = _place(p, len(found), "s")
            if count == 1:
                segment = "word_both"
            elif last == 0:
                segment = "word_begin" if p == 0 else "word_end" if p == len(found) - 1 else "word_middle"
            elif s == 0:
                segment = "word_begin" if flag in ("s_begin", "s_both") else "word_middle"
            elif s == last:
                segment = "word_end" if flag in ("s_end", "s_both") else "word_middle"
            else:
                segment = "word_middle"
            units.append(Unit(phone, tone, flag, segment))
    return units


def _place(index: int, count: int, prefix: str) -> str:
    if count == 1:
        return f"{prefix}_both"
    return f"{prefix}_begin" if index == 0 else f"{prefix}_end" if index == count - 1 else f"{prefix}_middle"


def boundary_unit(level: int) -> Unit:
    """Return the prosodic boundary of a level, 1 (prosodic word) to 4 (sentence end)."""
    return Unit(f"#{level}", "tone_none", "s_none", "word_none")


@dataclass(frozen=True, slots=True)
class UnitTables:
    """Ids of every stream's tokens."""

    ids: dict[str, dict[str, int]]

    @staticmethod
    @cache
    def load(language: str = "PinYin") -> "UnitTables":
        """Read the tables of a unit language; InputError if it is not one we ship."""
        try:
            rows = _table(f"vocab_{language}.tsv")[1:]
        except FileNotFoundError:
            raise InputError(
                f"unit language {language!r} is not known; there are: PinYin, Sichuan, WuuShanghai, ZhHK"
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
        """Return the ids of each stream, [N] each, without an end of sentence.

        Raises InputError naming the first unit that is in no table; nothing is dropped.
        """
        rows: dict[str, list[int]] = {stream: [] for stream in STREAMS}
        for number, unit in enumerate(units):
            for stream in STREAMS:
                value = getattr(unit, stream)
                if value not in self.ids[stream]:
                    raise InputError(f"unit {number} {unit}: {value!r} is no {stream} of this voice")
                rows[stream].append(self.ids[stream][value])
        return {stream: np.array(row, np.int64) for stream, row in rows.items()}


EMOTIONS: tuple[str, ...] = (
    "none", "neutral", "angry", "disgust", "fear", "happy", "sad", "surprise", "calm", "gentle", "relax", "lyrical",
    "serious", "disgruntled", "satisfied", "disappointed", "excited", "anxiety", "jealousy", "hate", "pity",
    "pleasure", "arousal", "dominance", "placeholder1", "placeholder2", "placeholder3", "placeholder4",
    "placeholder5", "placeholder6", "placeholder7", "placeholder8", "placeholder9",
)  # fmt: skip
"""The reference's emotions; an emotion's id is its place."""
