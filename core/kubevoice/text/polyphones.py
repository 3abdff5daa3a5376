"""Which reading a character of several has in its sentence: a small network, run by ONNX Runtime.

A bidirectional LSTM over the sentence's characters, what the dictionary's phrases say of each, and where words begin
and end; for each character asked, a score for each reading. It holds a second, smaller LSTM that began as g2pM's
(Park and Lee, g2pM: A Neural Grapheme-to-Phoneme Conversion Package for Mandarin Chinese, Interspeech 2020).
training/recipes/polyphones.py trains it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kubevoice.text.phrases import Phrases, Vote

__all__ = ["FEATURES", "Inventory", "Polyphones", "features"]

FEATURES = ("character", "word", "forward", "forward_place", "backward", "backward_place")
"""Inputs of the network, [T] each: ids of the character, its place in its word, and the dictionary's two votes."""
ALONE, BEGIN, MIDDLE, END = range(4)
LONGEST = 5
"""Phrases longer than this vote as if they were this long."""
PLACES = LONGEST * LONGEST + 1


@dataclass(frozen=True, slots=True)
class Inventory:
    """The network's alphabet: characters, readings, and the readings among which it chooses, by character."""

    characters: dict[str, int]
    readings: dict[str, int]
    candidates: dict[str, tuple[str, ...]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `dumps` wrote."""
        found = json.loads(text)
        candidates = {character: tuple(readings) for character, readings in found["candidates"].items()}
        characters = {character: i for i, character in enumerate(found["characters"], 1)}
        return cls(characters, {reading: i for i, reading in enumerate(found["readings"], 1)}, candidates)

    def dumps(self) -> str:
        """Return it as text; ids begin with 1, for 0 is whatever is not in the alphabet."""
        lists = {"characters": "".join(self.characters), "readings": list(self.readings)}
        return json.dumps(lists | {"candidates": self.candidates}, ensure_ascii=False)


def _word_places(words: Sequence[str]) -> list[int]:
    places: list[int] = []
    for word in words:
        places += [ALONE] if len(word) == 1 else [BEGIN, *[MIDDLE] * (len(word) - 2), END]
    return places


def _place(vote: Vote | None) -> int:
    if vote is None:
        return 0
    length = min(vote.length, LONGEST)
    return 1 + (length - 1) * LONGEST + min(vote.place, length - 1)


def features(
    words: Sequence[str], forward: Sequence[Vote | None], inventory: Inventory
) -> dict[str, NDArray[np.int64]]:
    """Return the network's inputs, [T] each, for the T characters of a sentence's words; `forward` is their votes."""
    text = "".join(words)
    backward = Phrases.load().backward(text)
    rows = {"character": [inventory.characters.get(c, 0) for c in text], "word": _word_places(words)}
    for name, votes in (("forward", forward), ("backward", backward)):
        rows[name] = [inventory.readings.get(vote.reading, 0) if vote else 0 for vote in votes]
        rows[f"{name}_place"] = [_place(vote) for vote in votes]
    return {name: np.array(row, np.int64) for name, row in rows.items()}


@dataclass(frozen=True, slots=True)
class Polyphones:
    """The network and its alphabet."""

    session: Any
    inventory: Inventory

    @classmethod
    @cache
    def load(cls) -> "Polyphones":
        """Load the network that ships with this package."""
        from kubevoice.session import open_session  # imported when first needed: ONNX Runtime takes its time

        with resources.as_file(resources.files("kubevoice.text") / "tables" / "polyphones.onnx") as path:
            session = open_session(path, threads=1)
        inventory = Inventory.parse(session.get_modelmeta().custom_metadata_map["inventory"])
        return cls(session, inventory)

    def readings(self, words: Sequence[str], forward: Sequence[Vote | None]) -> dict[int, str]:
        """Return the readings of a sentence's characters of several readings, by their places in it.

        `forward` is what the dictionary's phrases say of each character, from the left.
        """
        text = "".join(words)
        asked = [i for i, character in enumerate(text) if character in self.inventory.candidates]
        if not asked:
            return {}
        inputs = features(words, forward, self.inventory) | {"asked": np.array(asked, np.int64)}
        scores = self.session.run(None, inputs)[0]
        found = {}
        for place, row in zip(asked, scores, strict=True):
            candidates = self.inventory.candidates[text[place]]
            best = int(np.argmax([row[self.inventory.readings[reading]] for reading in candidates]))
            found[place] = candidates[best]
        return found
