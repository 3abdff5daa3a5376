"""Compile pypinyin-dict's phrases into a table that the front end loads in a tenth of the time.

    python scripts/make_phrases.py

Only phrases with a polyphone are in the table; the others do not help to choose a reading.
"""

import lzma
from collections import Counter, defaultdict
from pathlib import Path

from kubevoice.text.phrase_dictionary import CODES
from pypinyin.contrib.tone_convert import to_tone3
from pypinyin_dict.phrase_pinyin_data import large_pinyin

TABLE = Path(__file__).parents[1] / "core" / "kubevoice" / "text" / "tables" / "phrases.txt.xz"
RARE = 2
"""A reading that fewer phrases have is usually an error of the dictionary."""


def compile_table() -> bytes:
    """Return the table: a line of readings for each character, a line of phrases, and a line of their reading codes."""
    spelled: dict[str, str] = {}
    phrases: dict[str, tuple[str, ...]] = {}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for phrase, readings in large_pinyin.phrases_dict.items():
        if len(phrase) != len(readings):
            continue
        for reading in readings:
            if reading[0] not in spelled:
                spelled[reading[0]] = to_tone3(reading[0], v_to_u=False, neutral_tone_with_five=True)
        phrases[phrase] = tuple(spelled[reading[0]] for reading in readings)
        for character, reading in zip(phrase, phrases[phrase], strict=True):
            counts[character][reading] += 1
    ambiguous = {c for c, numbers in counts.items() if sum(n >= RARE for n in numbers.values()) > 1}
    chosen = sorted(phrase for phrase in phrases if not ambiguous.isdisjoint(phrase))
    letters = sorted({character for phrase in chosen for character in phrase})
    order = {c: [reading for reading, _ in counts[c].most_common(len(CODES))] for c in letters}
    codes = ["".join(CODES[order[c].index(r)] for c, r in zip(p, phrases[p], strict=True)) for p in chosen]
    lines = [f"{c} {' '.join(order[c])}" for c in letters]
    return "\n".join([*lines, "", " ".join(chosen), " ".join(codes)]).encode()


if __name__ == "__main__":
    TABLE.write_bytes(lzma.compress(compile_table(), preset=9))
