"""Count what the corpus of teacher_corpus.py has: hours by speaker, emotion and kind of text; phones and tones.

python training/recipes/corpus_coverage.py OUT --output coverage.json
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from kubevoice.text import UnitTables, analyse
from spoken_texts import FRONT_END

RARE = 20
"""Phones with fewer occurrences are in the report."""


def read_index_lines(corpus: Path) -> list[dict[str, Any]]:
    """Return the lines of all parts of a corpus's index, by id."""
    lines = [
        json.loads(line)
        for path in corpus.glob("metadata-*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
        if line.endswith("\n")  # the last one may be incomplete
    ]
    return sorted(lines, key=lambda line: line["id"])


def sum_hours(lines: Iterable[dict[str, Any]], field: str) -> dict[str, float]:
    """Return the hours of speech by value of a field."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for line in lines:
        seconds[line[field]] += line["seconds"]
    return {name: round(value / 3600, 3) for name, value in sorted(seconds.items())}


def measure_coverage(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the report of a corpus."""
    phones = Counter({phone: 0 for phone in UnitTables.load().ids["sy"] if not phone.startswith(("#", "@", "_", "~"))})
    syllables: Counter[str] = Counter()
    tones: Counter[str] = Counter()
    for line in lines:
        for sentence in analyse(line["text"], FRONT_END).sentences:
            phones.update(unit.sy for unit in sentence.units if not unit.sy.startswith("#"))
            readings = [syllable.pinyin for word in sentence.words for syllable in word.syllables]
            syllables.update(readings)
            tones.update(f"{before[-1]}{after[-1]}" for before, after in pairwise(readings))
    return {
        "clips": len(lines),
        "hours": round(sum(line["seconds"] for line in lines) / 3600, 3),
        "hoursBySpeaker": sum_hours(lines, "speaker"),
        "hoursByEmotion": sum_hours(lines, "emotion"),
        "hoursByKind": sum_hours(lines, "kind"),
        "texts": len({line["text"] for line in lines}),
        "syllables": sum(syllables.values()),
        "tonedSyllables": len(syllables),
        "tonePairs": dict(sorted(tones.items())),
        "phones": sum(count > 0 for count in phones.values()),
        "rarePhones": {phone: count for phone, count in sorted(phones.items()) if count < RARE},
    }


def main() -> None:
    """Print the report, and write it to --output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    report = json.dumps(measure_coverage(read_index_lines(args.corpus)), ensure_ascii=False, indent=1)
    print(report)
    if args.output:
        args.output.write_text(report + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
