"""The polyphone network: chooses among the readings of a character by its sentence.

A bidirectional LSTM over the characters of the sentence, the matches of the phrase dictionary and the word boundaries;
for each polyphone it has a score for each reading. It contains a second, smaller LSTM that began as g2pM's.
training/recipes/polyphones.py trains it; ONNX Runtime runs it.

References
----------
Park and Lee, "g2pM: A Neural Grapheme-to-Phoneme Conversion Package for Mandarin Chinese Based on a New Open Benchmark
Dataset", Interspeech 2020.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kubevoice.text.phrase_dictionary import PhraseDictionary, PhraseMatch

__all__ = ["FEATURES", "Inventory", "PolyphoneModel", "build_features"]

FEATURES = ("character", "word", "forward", "forward_place", "backward", "backward_place")
"""Inputs of the network, [T] each: ids of the character, its place in its word, and the dictionary's matches."""
ALONE, BEGIN, MIDDLE, END = range(4)
LONGEST = 5
"""Longer phrases are treated as this long."""
PLACES = LONGEST * LONGEST + 1


@dataclass(frozen=True, slots=True)
class Inventory:
    """The ids of characters and readings, and the readings to choose from.

    Attributes
    ----------
    characters
        Id of each character, from 1; 0 stands for any other character.
    readings
        Id of each reading, from 1; 0 stands for any other reading.
    candidates
        The readings that the network chooses from, by polyphone.
    """

    characters: dict[str, int]
    readings: dict[str, int]
    candidates: dict[str, tuple[str, ...]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text that `dumps` returns.

        Parameters
        ----------
        text
            JSON, as in the metadata of the ONNX graph.

        Returns
        -------
        Inventory
            The inventory.
        """
        content = json.loads(text)
        candidates = {character: tuple(readings) for character, readings in content["candidates"].items()}
        characters = {character: i for i, character in enumerate(content["characters"], 1)}
        return cls(characters, {reading: i for i, reading in enumerate(content["readings"], 1)}, candidates)

    def dumps(self) -> str:
        """Return the inventory as JSON; ids follow from the order, so they are not written.

        Returns
        -------
        str
            JSON text.
        """
        lists = {"characters": "".join(self.characters), "readings": list(self.readings)}
        return json.dumps(lists | {"candidates": self.candidates}, ensure_ascii=False)


def _word_places(words: Sequence[str]) -> list[int]:
    places: list[int] = []
    for word in words:
        places += [ALONE] if len(word) == 1 else [BEGIN, *[MIDDLE] * (len(word) - 2), END]
    return places


def _place(match: PhraseMatch | None) -> int:
    if match is None:
        return 0
    length = min(match.length, LONGEST)
    return 1 + (length - 1) * LONGEST + min(match.place, length - 1)


def build_features(
    words: Sequence[str], forward_matches: Sequence[PhraseMatch | None], inventory: Inventory
) -> dict[str, NDArray[np.int64]]:
    """Return the network's inputs for a sentence of T characters.

    Parameters
    ----------
    words
        The words of the sentence.
    forward_matches
        The phrase dictionary's matches from the left, [T].
    inventory
        Ids of characters and readings.

    Returns
    -------
    dict[str, NDArray[np.int64]]
        The inputs named by `FEATURES`, [T] each.
    """
    text = "".join(words)
    backward_matches = PhraseDictionary.load().match_backward(text)
    rows = {"character": [inventory.characters.get(c, 0) for c in text], "word": _word_places(words)}
    for name, matches in (("forward", forward_matches), ("backward", backward_matches)):
        rows[name] = [inventory.readings.get(match.reading, 0) if match else 0 for match in matches]
        rows[f"{name}_place"] = [_place(match) for match in matches]
    return {name: np.array(row, np.int64) for name, row in rows.items()}


@dataclass(frozen=True, slots=True)
class PolyphoneModel:
    """The network and its inventory.

    Attributes
    ----------
    session
        ONNX Runtime session of the graph.
    inventory
        Ids and candidates, from the metadata of the graph.
    """

    session: Any
    inventory: Inventory

    @classmethod
    @cache
    def load(cls) -> "PolyphoneModel":
        """Load the network that ships with this package.

        Returns
        -------
        PolyphoneModel
            The model; one object for the whole process.
        """
        from kubevoice.session import open_session  # imported when first needed: ONNX Runtime loads slowly

        with resources.as_file(resources.files("kubevoice.text") / "tables" / "polyphones.onnx") as path:
            session = open_session(path, threads=1)
        inventory = Inventory.parse(session.get_modelmeta().custom_metadata_map["inventory"])
        return cls(session, inventory)

    def predict(self, words: Sequence[str], forward_matches: Sequence[PhraseMatch | None]) -> dict[int, str]:
        """Choose the reading of each polyphone of a sentence of T characters.

        Parameters
        ----------
        words
            The words of the sentence.
        forward_matches
            The phrase dictionary's matches from the left, [T].

        Returns
        -------
        dict[int, str]
            The reading of each polyphone, by its index in the sentence.
        """
        text = "".join(words)
        polyphones = [i for i, character in enumerate(text) if character in self.inventory.candidates]
        if not polyphones:
            return {}
        inputs = build_features(words, forward_matches, self.inventory) | {"asked": np.array(polyphones, np.int64)}
        scores = self.session.run(None, inputs)[0]
        readings = {}
        for place, row in zip(polyphones, scores, strict=True):
            candidates = self.inventory.candidates[text[place]]
            best = int(np.argmax([row[self.inventory.readings[reading]] for reading in candidates]))
            readings[place] = candidates[best]
        return readings
