"""Score text normalisation and readings on CN-NewsTTS Bench: marked spans of news sentences with their right readings.

    .venv/bin/python benchmarks/news.py ../shared/data/frontend/news/dev.jsonl --output benchmarks/results/news.json

The bench is made for audio, which a recognizer transcribes. Here the front end's words are compared, without synthesis:
a span is right if its words hold one of the right readings and none of the wrong ones. The readings of polyphones are
pinyin, and are compared with the base readings of the span's characters. The bench does not count all of its spans.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TARGET = 0.98
PINYIN = re.compile(r"(?:[a-z]+[1-5])+")
SEPARATORS = re.compile(r"[^\w]|_")


def simplify(text: str) -> str:
    """Return a text without spaces and punctuation, in small letters, with 二 for 两: 二百 is as right as 两百."""
    return SEPARATORS.sub("", text).lower().replace("两", "二")


def find_spoken(text: str, start: int, end: int) -> tuple[str, str]:
    """Return the words and the pinyin that stand for a part of a text.

    Words that a rule made have no place in the text, so the part is what lies between the characters around it.
    """
    from kubevoice.text import analyse
    from kubevoice.text.characters import clean
    from kubevoice.text.normalisation import normalise

    normalised = normalise(clean(text))
    before = [i for i, origin in enumerate(normalised.origins) if origin is not None and origin < start]
    after = [i for i, origin in enumerate(normalised.origins) if origin is not None and origin >= end]
    words = normalised.text[before[-1] + 1 if before else 0 : after[0] if after else len(normalised)]
    syllables = (s for sentence in analyse(text).sentences for word in sentence.words for s in word.syllables)
    return words, "".join(s.base for s in syllables if s.offset is not None and start <= s.offset < end)


def is_right(text: str, target: dict[str, Any]) -> bool:
    """Return whether a span is spoken with one of its right readings."""
    words, pinyin = find_spoken(text, target["start"], target["end"])
    right, wrong = target["positive_readings"], target["negative_readings"]
    if all(map(PINYIN.fullmatch, right)):
        return pinyin in right
    spoken = simplify(words)
    return any(simplify(reading) in spoken for reading in right) and not any(
        simplify(reading) in spoken for reading in wrong
    )


def score(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many spans are right, all together and by category, and the spans that are not."""
    categories: dict[str, list[bool]] = defaultdict(list)
    wrong = []
    for row in rows:
        for target in row["targets"]:
            if not target["auto_evaluable"]:
                continue
            right = is_right(row["text"], target)
            categories[target["category"]].append(right)
            if not right:
                spoken = find_spoken(row["text"], target["start"], target["end"])[0]
                wrong.append({"span": target["span"], "spoken": spoken, "text": row["text"]})
    outcomes = [right for group in categories.values() for right in group]
    return {
        "targets": len(outcomes),
        "right": sum(outcomes),
        "share": round(sum(outcomes) / len(outcomes), 3),
        "categories": {
            name: {"targets": len(group), "right": sum(group)} for name, group in sorted(categories.items())
        },
        "wrong": wrong,
    }


def main() -> int:
    """Score and print the report as JSON; return 1 if the share of right spans is below the target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="dev.jsonl of the bench")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.data.read_text(encoding="utf-8").splitlines()]
    report = {"date": datetime.now(UTC).date().isoformat(), **score(rows)}
    text = json.dumps(report, ensure_ascii=False, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    return int(report["share"] < TARGET)


if __name__ == "__main__":
    sys.exit(main())
