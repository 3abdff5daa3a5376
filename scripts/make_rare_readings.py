"""Compile readings of characters that pypinyin does not have into a table of the front end.

    python scripts/make_rare_readings.py UNIHAN

UNIHAN is the folder of Unicode's Unihan_Readings.txt and Unihan_Variants.txt. A character has the reading that
pypinyin-dict's zdic gives, otherwise that of its variant: the traditional form of a simplified character, the common
form of a rare one, or the one that its definition names.
"""

import argparse
import lzma
import re
from collections import defaultdict
from pathlib import Path

from kubevoice.text.syllables import is_syllable
from pypinyin.contrib.tone_convert import to_tone3
from pypinyin.pinyin_dict import pinyin_dict
from pypinyin_dict.pinyin_data import zdic

TABLE = Path(__file__).parents[1] / "core" / "kubevoice" / "text" / "tables" / "rare.txt.xz"
VARIANTS = ("kTraditionalVariant", "kSimplifiedVariant", "kSemanticVariant", "kZVariant", "kSpoofingVariant")
"""Kinds of variants, the most reliable first. A spoofing variant only looks the same, as 𠮷 and 吉 do."""
DEFINED_BY = re.compile(r"(?:same as|variant of|form of) (?:U\+[0-9A-F]+ )?([㐀-鿿])")


def read_fields(path: Path) -> dict[int, dict[str, str]]:
    """Return the fields of each code point in a file of Unihan."""
    fields: dict[int, dict[str, str]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("U+"):
            code, name, value = line.removeprefix("U+").split("\t", 2)
            fields[int(code, 16)][name] = value
    return fields


def find_variants(variants: dict[str, str], definition: str) -> list[int]:
    """Return the code points of a character's variants, the most reliable first."""
    written = " ".join(variants.get(kind, "") for kind in VARIANTS)
    codes = [int(code, 16) for code in re.findall(r"U\+([0-9A-F]+)", written)]
    return codes + [ord(character) for character in DEFINED_BY.findall(definition)]


def compile_table(unihan: Path) -> bytes:
    """Return the table: a line for each syllable, with the characters that it is the reading of."""
    definitions, variants = (read_fields(unihan / f"Unihan_{name}.txt") for name in ("Readings", "Variants"))
    marked: dict[int, str] = {
        code: next(
            (
                pinyin_dict[v]
                for v in find_variants(fields, definitions[code].get("kDefinition", ""))
                if v in pinyin_dict
            ),
            "",
        )
        for code, fields in ((code, variants[code]) for code in {*definitions, *variants})
    }
    marked = {
        code: reading for code, reading in (marked | zdic.pinyin_dict).items() if code not in pinyin_dict and reading
    }
    characters: dict[str, list[str]] = defaultdict(list)
    for code, reading in sorted(marked.items()):
        syllable = to_tone3(reading.split(",")[0], v_to_u=False, neutral_tone_with_five=True)
        if is_syllable(syllable[:-1]):
            characters[syllable].append(chr(code))
    return "\n".join(f"{syllable} {''.join(them)}" for syllable, them in sorted(characters.items())).encode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("unihan", type=Path)
    TABLE.write_bytes(lzma.compress(compile_table(parser.parse_args().unihan), preset=9))
