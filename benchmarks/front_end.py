"""Measure the accuracy and the speed of the front end, beside other libraries.

    python -m venv peers && peers/bin/pip install wetext==0.1.8
    peers/bin/pip install --no-deps g2pM==0.1.2.5 zh-normalization==0.0.2
    .venv/bin/python benchmarks/front_end.py ../shared/data/frontend --peers peers/lib/python3.11/site-packages

Text normalisation and sandhi are scored on the development sets. Polyphones are not, because the built-in network was
trained on all of theirs. training/recipes/polyphones.py without --all holds a tenth out and prints its scores.
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
DOCUMENT_CHARACTERS, DOCUMENT_TARGET_SECONDS = 20_000, 4.0
SENTENCE_TARGET_MS, START_TARGET_SECONDS, SHARE_TARGET = 2.0, 1.5, 95.0
START = "import time\nfrom kubevoice.text import analyse\nanalyse('他行走在银行门口。')\nprint(time.process_time())"


def normalise_strictly(text: str) -> str:
    """Return a text without punctuation, in lower case."""
    return PUNCTUATION.sub("", text).lower()


def normalise_leniently(text: str) -> str:
    """Return a text for which 幺 equals 一, 两 equals 二 and 零 is left out: the development sets disagree on these."""
    return normalise_strictly(text).replace("幺", "一").replace("两", "二").replace("零", "").replace("〇", "")


def score_normalisation(rows: list[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Return the percentage of rows that are normalised as expected, by source."""
    from kubevoice.text.characters import clean
    from kubevoice.text.normalisation import normalise

    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row in rows:
        output = normalise(clean(row["input"])).text
        pair = [(form(output) == form(row["expected"])) for form in (normalise_strictly, normalise_leniently)]
        right[row["source"]].append((pair[0], pair[1]))
    return {
        source: {
            "rows": len(pairs),
            "exact": round(100 * statistics.mean(exact for exact, _ in pairs), 1),
            "lenient": round(100 * statistics.mean(lenient for _, lenient in pairs), 1),
        }
        for source, pairs in right.items()
    }


def score_sandhi(rows: list[dict[str, list[str]]]) -> dict[str, object]:
    """Return the number of rows with the expected readings, and the texts of the others."""
    from kubevoice.text import analyse

    wrong = []
    for row in rows:
        text = str(row["text"])
        readings = [s.pinyin for sentence in analyse(text).sentences for word in sentence.words for s in word.syllables]
        if readings != row["pinyin"]:
            wrong.append(text)
    return {"rows": len(rows), "right": len(rows) - len(wrong), "wrong": wrong}


def load_readers() -> dict[str, Callable[[str], object]]:
    """Return the functions that read a sentence: this front end's, and those of the libraries that are installed."""
    import pypinyin
    from kubevoice.text import analyse

    readers: dict[str, Callable[[str], object]] = {"kubevoice": analyse}
    try:
        import wetext

        normalizer = wetext.Normalizer(lang="zh", operator="tn", remove_erhua=False, remove_interjections=False)
        style = pypinyin.Style.TONE3
        readers["wetext + pypinyin"] = lambda text: pypinyin.lazy_pinyin(normalizer.normalize(text), style=style)
    except ImportError:
        print("wetext is not installed; see --help", file=sys.stderr)
    try:
        import g2pM

        readers["g2pM"] = g2pM.G2pM()
    except ImportError:
        print("g2pM is not installed; see --help", file=sys.stderr)
    try:
        import zh_normalization

        paddle_normalizer = zh_normalization.TextNormalizer()
        readers["zh-normalization"] = paddle_normalizer.normalize
    except ImportError:
        print("zh-normalization is not installed; see --help", file=sys.stderr)
    return readers


def measure_speed(sentences: list[str]) -> dict[str, dict[str, float]]:
    """Return CPU milliseconds per sentence, and the ratio to this front end in the same round; readers alternate."""
    times: dict[str, list[float]] = defaultdict(list)
    readers = load_readers()
    for read in readers.values():
        for sentence in sentences[:20]:
            read(sentence)
    for _ in range(ROUNDS):
        for name, read in readers.items():
            began = time.process_time()
            for sentence in sentences:
                read(sentence)
            times[name].append(1000 * (time.process_time() - began) / len(sentences))
    ours = times["kubevoice"]
    return {
        name: {
            "milliseconds": round(statistics.median(rounds), 3),
            "ratio": round(statistics.median(a / b for a, b in zip(rounds, ours, strict=True)), 3),
        }
        for name, rounds in times.items()
    }


def measure_document(texts: list[str]) -> dict[str, float]:
    """Return the CPU seconds of one analysis of a long document: the median of five."""
    from kubevoice.text import analyse

    document, seconds = "".join(texts)[:DOCUMENT_CHARACTERS], []
    for _ in range(5):
        began = time.process_time()
        analyse(document)
        seconds.append(time.process_time() - began)
    return {"characters": len(document), "cpuSeconds": round(statistics.median(seconds), 2)}


def main() -> int:
    """Measure and print the report as JSON; return 1 if a target is missed."""
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
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
        "normalisation": score_normalisation(rows["tn_dev"]),
        "sandhi": score_sandhi(rows["sandhi_dev"]),
        "start": {"cpuSeconds": round(statistics.median(starts), 2)},
        "sentence": measure_speed([text for text in texts if 28 <= len(text) <= 32][:100]),
        "document": measure_document(texts),
    }
    text = json.dumps(report, ensure_ascii=False, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    missed = [share for share in report["normalisation"].values() if share["lenient"] < SHARE_TARGET]
    slow = report["sentence"]["kubevoice"]["milliseconds"] > SENTENCE_TARGET_MS
    late = report["start"]["cpuSeconds"] > START_TARGET_SECONDS
    long = report["document"]["cpuSeconds"] > DOCUMENT_TARGET_SECONDS
    return int(bool(missed) or slow or late or long)


if __name__ == "__main__":
    sys.exit(main())
