"""Texts for the base voice's corpus: sentences of g2pL's training set, and patterns of spoken language.

spoken.csv has the patterns of each kind of text; {slots} in them are filled with words of spoken-words.json, with whole
numbers ({n60}: 1 to 60) or with digits ({d4}: four of them). Both files were written for this project and have its
licence. g2pL's training set is Apache-2.0. Texts that are used for evaluation are excluded.
"""

import csv
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from base_data import read_texts
from kubevoice.errors import KubeVoiceError
from kubevoice.text import Analysis, FrontEndConfig, analyse

KINDS = {"news": 30, "question": 13, "exclamation": 7, "number": 11, "short": 5, "talk": 15, "english": 19}
"""How many of a hundred texts are of each kind. Questions and exclamations come from both sources alternately."""
EVALUATION_LISTS = ("everyday.csv", "everyday-choosing.csv", "hsk-heldout.csv", "hsk-choosing.csv")
LENGTHS = range(4, 43)
CANDIDATES = 6000
SPEAKABLE = re.compile(r"[一-鿿，。！？、；：]+")
SLOT = re.compile(r"\{([a-z]+)(\d*)\}")
FOLDER = Path(__file__).parent
SPOKEN_WORDS: dict[str, list[str]] = json.loads((FOLDER / "spoken-words.json").read_text(encoding="utf-8"))
"""Words for the slots, by name of the slot."""


def _strip_punctuation(text: str) -> str:
    return re.sub(r"\W", "", text)


def load_excluded_texts() -> frozenset[str]:
    """Return the texts that are used for evaluation, without punctuation."""
    return frozenset(_strip_punctuation(text) for name in EVALUATION_LISTS for text in read_texts(name))


def get_pinyin(analysis: Analysis) -> list[str]:
    """Return the pinyin of the syllables of a text, tones after sandhi."""
    return [each.pinyin for sentence in analysis.sentences for word in sentence.words for each in word.syllables]


def _build_erhua_lexicon() -> dict[str, tuple[str, ...]]:
    """Return a lexicon of the words with erhua, which word segmentation would divide before their last character."""
    return {word: (*get_pinyin(analyse(word[:-1])), "er2") for word in SPOKEN_WORDS["erhua"]}


FRONT_END = FrontEndConfig(english="phones", lexicon=_build_erhua_lexicon())
"""The base voice reads English words as English phones."""


def order_by_coverage(analyses: list[Analysis], seed: int) -> list[Analysis]:
    """Sort texts so that rare toned syllables come early."""
    syllables = [set(get_pinyin(each)) for each in analyses]
    counts = Counter(name for each in syllables for name in each)
    rng = random.Random(seed)  # noqa: S311  # not for security
    weights = [sum(1.0 / counts[name] for name in each) / max(1, len(each)) ** 0.5 for each in syllables]
    keys = [-weight * rng.uniform(0.3, 1.0) for weight in weights]
    return [analyses[i] for i in sorted(range(len(analyses)), key=keys.__getitem__)]


def fill_pattern(pattern: str, words: dict[str, list[str]], rng: random.Random) -> str:
    """Fill the slots of a pattern; two slots of one name get different words."""
    used: set[str] = set()

    def draw_value(slot: re.Match[str]) -> str:
        name, size = slot[1], slot[2]
        if size and name == "n":
            return str(rng.randint(1, int(size)))
        if size and name == "d":
            return "".join(rng.choices("0123456789", k=int(size)))
        word = rng.choice([each for each in words[name + size] if each not in used])
        used.add(word)
        return word

    return SLOT.sub(draw_value, pattern)


def _analyse_texts(texts: Iterator[str], excluded: frozenset[str]) -> Iterator[Analysis]:
    for text in texts:
        if _strip_punctuation(text) in excluded:
            continue
        try:
            yield analyse(text, FRONT_END)
        except KubeVoiceError:
            continue


def _read_sentences(path: Path, ending: str) -> list[str]:
    lines = dict.fromkeys(line.strip().replace("▁", "") for line in path.read_text(encoding="utf-8").splitlines())
    usable = [line for line in lines if len(line) in LENGTHS and SPEAKABLE.fullmatch(line) and line[-1] in ending]
    return random.Random(0).sample(usable, min(CANDIDATES, len(usable)))  # noqa: S311  # not for security


def _fill_patterns(kind: str) -> Iterator[str]:
    """Yield texts of all patterns of a kind, then again in another order, without end."""
    with (FOLDER / "spoken.csv").open(encoding="utf-8", newline="") as file:
        patterns = [row["text"] for row in csv.DictReader(file) if row["kind"] == kind]
    rng = random.Random(kind)  # noqa: S311  # not for security
    while True:
        rng.shuffle(patterns)
        for pattern in patterns:
            yield fill_pattern(pattern, SPOKEN_WORDS, rng)


def _alternate(one: Iterator[Analysis], other: Iterator[Analysis]) -> Iterator[Analysis]:
    while True:
        for source in (one, other):
            if (following := next(source, None)) is not None:
                yield following


def iter_texts(kind: str, sentences: Path) -> Iterator[Analysis]:
    """Yield analysed texts of a kind. Kinds with patterns of this project have no end.

    Parameters
    ----------
    kind : one of KINDS
    sentences : g2pL's training set, one sentence a line
    """
    excluded = load_excluded_texts()
    endings = {"news": "。", "question": "？", "exclamation": "！"}
    if kind not in endings:
        yield from _analyse_texts(_fill_patterns(kind), excluded)
        return
    sentences_by_coverage = order_by_coverage(
        list(_analyse_texts(iter(_read_sentences(sentences, endings[kind])), excluded)), seed=len(kind)
    )
    if kind == "news":
        while True:
            yield from sentences_by_coverage
    yield from _alternate(_analyse_texts(_fill_patterns(kind), excluded), iter(sentences_by_coverage))
