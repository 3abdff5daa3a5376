"""Read random text and damaged SSML with the front end. Fail at any error but InputError, and at a slow input.

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
FRAGMENTS = (
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


def make_text(rng: random.Random) -> str:
    """Return random characters of several scripts, and fragments that normalisation rules match."""
    characters = []
    for _ in range(rng.randrange(1, LONGEST)):
        low, high = rng.choice(RANGES)
        characters.append(rng.choice(FRAGMENTS) if rng.random() < 0.05 else chr(rng.randint(low, high)))
    return "".join(characters)


def make_document(rng: random.Random) -> str:
    """Return a document of random elements; most are not well-formed."""
    fragments = (rng.choice(TAGS) if rng.random() < 0.6 else make_text(rng)[:8] for _ in range(rng.randrange(12)))
    return f"<speak>{''.join(fragments)}</speak>"


def fuzz(
    count: int, make: Callable[[random.Random], str], read: Callable[[str], object], seed: int
) -> tuple[int, float]:
    """Read random inputs.

    Parameters
    ----------
    count
        How many inputs to read.
    make
        Makes an input.
    read
        Reads an input; may raise InputError.
    seed
        The seed of the random generator.

    Returns
    -------
    tuple[int, float]
        The number of inputs refused by InputError, and the CPU seconds of the slowest.
    """
    rng = random.Random(seed)  # noqa: S311  # an input generator
    refused, slowest = 0, 0.0
    for _ in range(count):
        text = make(rng)
        began = time.process_time()
        try:
            read(text)
        except InputError:
            refused += 1
        except Exception:
            print(f"input: {text!a}", file=sys.stderr)
            raise
        seconds = time.process_time() - began
        if seconds > max(slowest, SLOW_SECONDS):
            print(f"{1000 * seconds:.0f} ms: {text!a}", file=sys.stderr)
        slowest = max(slowest, seconds)
    return refused, slowest


def main() -> int:
    """Fuzz text and documents; return 1 if an input took longer than SLOW_SECONDS."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--strings", type=int, default=100_000)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    analyse("热身iPhone，3个。")
    worst = 0.0
    for name, count, make, read in (
        ("strings", args.strings, make_text, analyse),
        ("documents", args.documents, make_document, lambda text: read_document(parse(text))),
    ):
        refused, slowest = fuzz(count, make, read, args.seed)
        print(f"{count} {name}: {refused} refused, slowest {1000 * slowest:.1f} ms of CPU")
        worst = max(worst, slowest)
    return int(worst > SLOW_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
