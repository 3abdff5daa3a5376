"""Texts that the teacher reads for the base voice: sentences of g2pL's training set, and patterns of spoken language.

spoken.csv has the patterns of each kind of text; {slots} in them are filled with words of spoken-words.json, with whole
numbers ({n60}: 1 to 60) or with digits ({d4}: four of them). Both files were written for this project and have its
licence. g2pL's training set is Apache-2.0. Texts that anything is measured by are never given out.
"""

import csv
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from base_data import texts as measured_texts
from kubevoice.errors import KubeVoiceError
from kubevoice.text import Analysis, FrontEndConfig, analyse

KINDS = {"news": 30, "question": 13, "exclamation": 7, "number": 11, "short": 5, "talk": 15, "english": 19}
"""How many of a hundred texts are of each kind; questions and exclamations come from both sources in turn."""
MEASURED = ("everyday.csv", "everyday-choosing.csv", "hsk-heldout.csv", "hsk-choosing.csv")
LENGTHS = range(4, 43)
CANDIDATES = 6000
SPEAKABLE = re.compile(r"[一-鿿，。！？、；：]+")
SLOT = re.compile(r"\{([a-z]+)(\d*)\}")
FOLDER = Path(__file__).parent
SPOKEN_WORDS: dict[str, list[str]] = json.loads((FOLDER / "spoken-words.json").read_text(encoding="utf-8"))
"""Words for the slots, by name."""


def _bare(text: str) -> str:
    return re.sub(r"\W", "", text)


def hidden_texts() -> frozenset[str]:
    """Return the texts that metrics are measured on, without their punctuation."""
    return frozenset(_bare(text) for name in MEASURED for text in measured_texts(name))


def pinyin(analysis: Analysis) -> list[str]:
    """Return the syllables of a text, tones after sandhi."""
    return [each.pinyin for sentence in analysis.sentences for word in sentence.words for each in word.syllables]


def _erhua_lexicon() -> dict[str, tuple[str, ...]]:
    """Return readings of the words with erhua, which the segmentation would cut before their last character."""
    return {word: (*pinyin(analyse(word[:-1])), "er2") for word in SPOKEN_WORDS["erhua"]}


FRONT_END = FrontEndConfig(english="phones", lexicon=_erhua_lexicon())
"""The base learns English words by their own phones."""


def ordered_by_coverage(analyses: list[Analysis], seed: int) -> list[Analysis]:
    """Put texts in an order in which no toned syllable waits long."""
    syllables = [set(pinyin(each)) for each in analyses]
    counts = Counter(name for each in syllables for name in each)
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    weights = [sum(1.0 / counts[name] for name in each) / max(1, len(each)) ** 0.5 for each in syllables]
    keys = [-weight * draw.uniform(0.3, 1.0) for weight in weights]
    return [analyses[i] for i in sorted(range(len(analyses)), key=keys.__getitem__)]


def fill(pattern: str, words: dict[str, list[str]], draw: random.Random) -> str:
    """Fill the slots of a pattern; a slot that is there twice gets two values."""
    used: set[str] = set()

    def value(slot: re.Match[str]) -> str:
        name, size = slot[1], slot[2]
        if size and name == "n":
            return str(draw.randint(1, int(size)))
        if size and name == "d":
            return "".join(draw.choices("0123456789", k=int(size)))
        chosen = draw.choice([word for word in words[name + size] if word not in used])
        used.add(chosen)
        return chosen

    return SLOT.sub(value, pattern)


def _analysed(texts: Iterator[str], hidden: frozenset[str]) -> Iterator[Analysis]:
    for text in texts:
        if _bare(text) in hidden:
            continue
        try:
            yield analyse(text, FRONT_END)
        except KubeVoiceError:
            continue


def _written(path: Path, ending: str) -> list[str]:
    lines = dict.fromkeys(line.strip().replace("▁", "") for line in path.read_text(encoding="utf-8").splitlines())
    usable = [line for line in lines if len(line) in LENGTHS and SPEAKABLE.fullmatch(line) and line[-1] in ending]
    return random.Random(0).sample(usable, min(CANDIDATES, len(usable)))  # noqa: S311 - nothing secret


def _spoken(kind: str) -> Iterator[str]:
    """Fill every pattern of a kind once, then all of them again in another order, for ever."""
    with (FOLDER / "spoken.csv").open(encoding="utf-8", newline="") as file:
        patterns = [row["text"] for row in csv.DictReader(file) if row["kind"] == kind]
    draw = random.Random(kind)  # noqa: S311 - nothing secret
    while True:
        draw.shuffle(patterns)
        for pattern in patterns:
            yield fill(pattern, SPOKEN_WORDS, draw)


def _alternate(one: Iterator[Analysis], other: Iterator[Analysis]) -> Iterator[Analysis]:
    while True:
        for source in (one, other):
            if (following := next(source, None)) is not None:
                yield following


def analysed_texts(kind: str, sentences: Path) -> Iterator[Analysis]:
    """Yield analysed texts of a kind, of those written for this project without end.

    Parameters
    ----------
    kind : one of KINDS
    sentences : g2pL's training set, one sentence a line
    """
    hidden = hidden_texts()
    endings = {"news": "。", "question": "？", "exclamation": "！"}
    if kind not in endings:
        yield from _analysed(_spoken(kind), hidden)
        return
    written = ordered_by_coverage(list(_analysed(iter(_written(sentences, endings[kind])), hidden)), seed=len(kind))
    if kind == "news":
        while True:
            yield from written
    yield from _alternate(_analysed(_spoken(kind), hidden), iter(written))
