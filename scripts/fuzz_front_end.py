"""Throw random text and damaged SSML at the front end: no crash, nothing slow, no error but ours.

.venv/bin/python scripts/fuzz_front_end.py --strings 1000000 --documents 100000
"""

import argparse
import random
import sys
import time
from collections.abc import Callable

from kubevoice.errors import InputError
from kubevoice.text import analyse, read_document
from kubevoice.text.ssml import parse

SLOW_SECONDS = 0.05
LONGEST = 40
RANGES = (
    (0x20, 0x7E),
    (0x4E00, 0x9FFF),
    (0x3000, 0x303F),
    (0xFF00, 0xFFEF),
    (0x80, 0x24FF),
    (0x1F300, 0x1FAFF),
    (0, 0xD7FF),
    (0x20000, 0x2A6DF),
)
PIECES = (
    "2024-05-01",
    "3:30",
    "¥1.5万",
    "10%~20%",
    "https://a.cn/b?c=1",
    "第Ⅲ章",
    "iPhone15",
    "-5~3℃",
    "1/2",
    "不一不一",
    "儿",
)
TAGS = (
    "<p>",
    "</p>",
    "<break time='1s'/>",
    "<break/>",
    "<prosody rate='+20%' pitch='-2st' volume='+6dB'>",
    "</prosody>",
    "<emphasis>",
    "</emphasis>",
    "<phoneme ph='chong2'>重</phoneme>",
    "<say-as interpret-as='date'>2024-01-01</say-as>",
    "<sub alias='甲'>乙</sub>",
    "<mark name='m'/>",
    "<w>长大</w>",
    "<!-- c -->",
    "<![CDATA[<x>]]>",
    "&amp;",
    "&#x4f60;",
    "&x;",
    "<",
    "<!DOCTYPE a [<!ENTITY x 'y'>]>",
    "<?xml version='1.0'?>",
    "<mstts:express-as style='sad'>",
    "</mstts:express-as>",
)


def text_of(draw: random.Random) -> str:
    """Return random characters of several scripts, with some of what the rules look for."""
    found = []
    for _ in range(draw.randrange(1, LONGEST)):
        low, high = draw.choice(RANGES)
        found.append(draw.choice(PIECES) if draw.random() < 0.05 else chr(draw.randint(low, high)))
    return "".join(found)


def document_of(draw: random.Random) -> str:
    """Return a document of random elements, most often not well-formed."""
    pieces = (draw.choice(TAGS) if draw.random() < 0.6 else text_of(draw)[:8] for _ in range(draw.randrange(12)))
    return f"<speak>{''.join(pieces)}</speak>"


def tried(
    count: int, make: Callable[[random.Random], str], read: Callable[[str], object], seed: int
) -> tuple[int, float]:
    """Read `count` inputs; return how many were refused, and the slowest's CPU seconds. Other errors are raised."""
    draw = random.Random(seed)  # noqa: S311  # an input generator
    refused, slowest = 0, 0.0
    for _ in range(count):
        text = make(draw)
        began = time.process_time()
        try:
            read(text)
        except InputError:
            refused += 1
        except Exception:
            print(f"input: {text!a}", file=sys.stderr)
            raise
        spent = time.process_time() - began
        if spent > max(slowest, SLOW_SECONDS):
            print(f"{1000 * spent:.0f} ms: {text!a}", file=sys.stderr)
        slowest = max(slowest, spent)
    return refused, slowest


def main() -> int:
    """Try both kinds of input; return 1 if one took longer than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--strings", type=int, default=100_000)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    analyse("热身iPhone，3个。")
    worst = 0.0
    for name, count, make, read in (
        ("strings", args.strings, text_of, analyse),
        ("documents", args.documents, document_of, lambda text: read_document(parse(text))),
    ):
        refused, slowest = tried(count, make, read, args.seed)
        print(f"{count} {name}: {refused} refused, slowest {1000 * slowest:.1f} ms of CPU")
        worst = max(worst, slowest)
    return int(worst > SLOW_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
