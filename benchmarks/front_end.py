"""How right and how fast the front end is, beside other libraries.

    python -m venv peers && peers/bin/pip install wetext==0.1.8
    peers/bin/pip install --no-deps g2pM==0.1.2.5 zh-normalization==0.0.2
    .venv/bin/python benchmarks/front_end.py ../shared/data/frontend --peers peers/lib/python3.11/site-packages

Text normalisation and sandhi are scored on the development sets. Polyphones are not: the network that ships was trained
on all of them. training/recipes/polyphones.py without --all holds a tenth out and prints its scores.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

PUNCTUATION = re.compile(r"[^\w]|_")
ROUNDS = 15
SENTENCE_TARGET_MS, START_TARGET_SECONDS, SHARE_TARGET = 2.0, 1.5, 95.0
START = "import time\nfrom kubevoice.text import analyse\nanalyse('他行走在银行门口。')\nprint(time.process_time())"


def strict(text: str) -> str:
    """Return a text without punctuation, letters in one case."""
    return PUNCTUATION.sub("", text).lower()


def lenient(text: str) -> str:
    """Return it with 幺 as 一, 两 as 二 and without 零, on which the sets disagree."""
    return strict(text).replace("幺", "一").replace("两", "二").replace("零", "").replace("〇", "")


def normalisation(rows: list[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Return the share in percent that is right, by source."""
    from kubevoice.text.characters import clean
    from kubevoice.text.normalisation import normalise

    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row in rows:
        said = normalise(clean(row["input"])).text
        pair = [(form(said) == form(row["expected"])) for form in (strict, lenient)]
        right[row["source"]].append((pair[0], pair[1]))
    return {
        source: {
            "rows": len(found),
            "exact": round(100 * statistics.mean(a for a, _ in found), 1),
            "lenient": round(100 * statistics.mean(b for _, b in found), 1),
        }
        for source, found in right.items()
    }


def sandhi(rows: list[dict[str, list[str]]]) -> dict[str, object]:
    """Return how many are right, and which are not."""
    from kubevoice.text import analyse

    wrong = []
    for row in rows:
        text = str(row["text"])
        said = [s.pinyin for sentence in analyse(text).sentences for word in sentence.words for s in word.syllables]
        if said != row["pinyin"]:
            wrong.append(text)
    return {"rows": len(rows), "right": len(rows) - len(wrong), "wrong": wrong}


def readers() -> dict[str, Callable[[str], object]]:
    """Return what reads a sentence: ours, and the libraries that are installed."""
    import pypinyin
    from kubevoice.text import analyse

    found: dict[str, Callable[[str], object]] = {"kubevoice": analyse}
    try:
        import wetext

        normalizer = wetext.Normalizer(lang="zh", operator="tn", remove_erhua=False, remove_interjections=False)
        style = pypinyin.Style.TONE3
        found["wetext + pypinyin"] = lambda text: pypinyin.lazy_pinyin(normalizer.normalize(text), style=style)
    except ImportError:
        print("wetext is not installed; see --help", file=sys.stderr)
    try:
        import g2pM

        found["g2pM"] = g2pM.G2pM()
    except ImportError:
        print("g2pM is not installed; see --help", file=sys.stderr)
    try:
        import zh_normalization

        normalizer_of_paddle = zh_normalization.TextNormalizer()
        found["zh-normalization"] = normalizer_of_paddle.normalize
    except ImportError:
        print("zh-normalization is not installed; see --help", file=sys.stderr)
    return found


def speed(sentences: list[str]) -> dict[str, dict[str, float]]:
    """Return CPU milliseconds a sentence, in rounds that take turns, and the ratio to ours in the same round."""
    times: dict[str, list[float]] = defaultdict(list)
    everyone = readers()
    for read in everyone.values():
        for sentence in sentences[:20]:
            read(sentence)
    for _ in range(ROUNDS):
        for name, read in everyone.items():
            began = time.process_time()
            for sentence in sentences:
                read(sentence)
            times[name].append(1000 * (time.process_time() - began) / len(sentences))
    ours = times["kubevoice"]
    return {
        name: {
            "milliseconds": round(statistics.median(found), 3),
            "ratio": round(statistics.median(a / b for a, b in zip(found, ours, strict=True)), 3),
        }
        for name, found in times.items()
    }


def main() -> int:
    """Measure, print, and return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the development sets")
    parser.add_argument("--peers", type=Path, help="site-packages with g2pM and zh-normalization")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    if args.peers:
        sys.path.append(str(args.peers))
    rows = {
        name: [json.loads(line) for line in (args.data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("tn_dev", "sandhi_dev")
    }
    texts = (args.data / "cpp_dev.sent").read_text(encoding="utf-8").replace("▁", "").splitlines()
    starts = [
        float(subprocess.run([sys.executable, "-c", START], check=True, capture_output=True, text=True).stdout)  # noqa: S603
        for _ in range(5)
    ]
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
        "normalisation": normalisation(rows["tn_dev"]),
        "sandhi": sandhi(rows["sandhi_dev"]),
        "start": {"cpuSeconds": round(statistics.median(starts), 2)},
        "sentence": speed([text for text in texts if 28 <= len(text) <= 32][:100]),
    }
    text = json.dumps(result, ensure_ascii=False, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    missed = [share for share in result["normalisation"].values() if share["lenient"] < SHARE_TARGET]
    slow = result["sentence"]["kubevoice"]["milliseconds"] > SENTENCE_TARGET_MS
    late = result["start"]["cpuSeconds"] > START_TARGET_SECONDS
    return int(bool(missed) or slow or late)


if __name__ == "__main__":
    sys.exit(main())
