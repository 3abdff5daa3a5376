"""Unit strings as KAN-TTS writes them, `{sy$tone$...$emotion$speaker}`, to the ids its networks read.

Our own front end makes `Unit`s, which carry neither emotion nor speaker; this reads the strings of metafiles and of
other front ends, with the streams and in the order that a voice's configuration names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kubevoice.errors import InputError
from kubevoice.text.units import EMOTIONS, STREAMS, UnitTables

__all__ = ["SymbolReader"]

DEFAULT_STREAMS = "sy,tone,syllable_flag,word_segment,emo_category,speaker_category"
SPECIAL = ("_", "~", "[MASK]")
"""Every vocabulary ends with padding, end of sentence and mask."""
BYTES = 256


@dataclass(frozen=True, slots=True)
class SymbolReader:
    """The vocabulary of each stream, in the order of a unit's fields."""

    vocabularies: Mapping[str, Mapping[str, int]]

    @classmethod
    def from_config(cls, linguistic_unit: Mapping[str, Any]) -> Self:
        """Make the reader of a voice.

        Parameters
        ----------
        linguistic_unit
            The mapping of that name in the voice's configuration.

        Returns
        -------
        SymbolReader
            The reader.

        Raises
        ------
        InputError
            If a stream or the unit language does not exist.
        """
        texts = {key: linguistic_unit.get(key) or "" for key in ("speaker_list", "lfeat_type_list", "language")}
        if wrong := [key for key, value in texts.items() if not isinstance(value, str)]:
            raise InputError(f"linguistic_unit.{wrong[0]} is not a string")
        categories: dict[str, tuple[str, ...]] = {
            "emo_category": tuple(f"emotion_{label}" for label in EMOTIONS),
            "speaker_category": tuple(texts["speaker_list"].split(",")),
            "byte_index": tuple(str(byte) for byte in range(BYTES)),
        }
        tables = UnitTables.load(texts["language"] or "PinYin")
        vocabularies: dict[str, Mapping[str, int]] = {}
        for stream in (texts["lfeat_type_list"] or DEFAULT_STREAMS).split(","):
            if stream in STREAMS:
                vocabularies[stream] = tables.ids[stream]
            elif stream in categories:
                vocabularies[stream] = {token: i for i, token in enumerate(categories[stream] + SPECIAL)}
            else:
                streams = ", ".join((*STREAMS, *categories))
                raise InputError(f"lfeat_type_list: there is no stream {stream!r}; there are: {streams}")
        return cls(vocabularies)

    def encode(self, symbols: str) -> dict[str, NDArray[np.int64]]:
        """Return the ids of each stream.

        Fields beyond the streams are ignored. KAN-TTS drops an unknown phone and fails later; here it is an error.

        Parameters
        ----------
        symbols
            Units `{sy$tone$...}`, N of them.

        Returns
        -------
        dict[str, NDArray[np.int64]]
            Ids by stream, [N + 1] each: those of the units, then the end of sentence.

        Raises
        ------
        InputError
            If a unit has too few fields or a token that is in no vocabulary; the message names the first.
        """
        rows: dict[str, list[int]] = {stream: [] for stream in self.vocabularies}
        for number, unit in enumerate(re.findall(r"\{([^}]*)\}", symbols)):
            fields = unit.split("$")
            if len(fields) < len(rows):
                raise InputError(f"unit {number} {{{unit}}} needs the fields {'$'.join(rows)}")
            for (stream, row), token in zip(rows.items(), fields, strict=False):
                token_id = self.vocabularies[stream].get(token)
                if token_id is None:
                    raise InputError(f"unit {number} {{{unit}}}: {token!r} is not a {stream} of this voice")
                row.append(token_id)
        end = SPECIAL[1]
        return {stream: np.array([*row, self.vocabularies[stream][end]], np.int64) for stream, row in rows.items()}
