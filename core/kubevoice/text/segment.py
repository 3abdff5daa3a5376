"""Stages three and four: sentences, then words."""

import logging
import re
import tempfile
import warnings
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from kubevoice.text.traced import Traced

__all__ = ["PAUSES", "is_han", "is_latin", "sentences", "words"]

STOPS = "。！？；…!?;"
PAUSES = "，、：,:—-"
CLOSERS = "”’」』）》〉】\"'"
LONGEST_SENTENCE = 120
"""Characters; beyond this a sentence is cut at its pauses, since the network was never trained on longer ones."""
HAN = re.compile(r"[㐀-鿿豈-﫿〇\U00020000-\U0003ffff]")

LATIN = re.compile(r"[A-Za-z]")
PART = re.compile(rf"{HAN.pattern}+|[A-Z]?[a-z]+(?:'[a-z]+)?|[A-Z]+(?![a-z])|[A-Z]|\S")
"""Runs of Chinese; English words, those of a name like ChatGPT apart; any other sign."""


def is_latin(character: str) -> bool:
    """Tell whether a character is an ASCII letter."""
    return LATIN.match(character) is not None


def is_han(character: str) -> bool:
    """Tell whether a character is Chinese."""
    return HAN.match(character) is not None


@cache
def _jieba() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba still looks for pkg_resources, and the user can do nothing about it
        import jieba

    jieba.setLogLevel(logging.ERROR)
    tokenizer = jieba.Tokenizer()
    # jieba stores its parsed dictionary in the system's temporary folder for ever; ours goes with the process.
    folder = tempfile.TemporaryDirectory(prefix="kubevoice-jieba-")
    tokenizer.tmp_dir, tokenizer.cache_file = folder.name, str(Path(folder.name) / "cache")
    tokenizer.initialize()
    folder.cleanup()
    return tokenizer


def sentences(text: Traced) -> list[Traced]:
    """Cut at sentence ends and line ends; an over-long sentence at its pauses, or failing those, anywhere."""
    found = re.finditer(rf"[^{STOPS}\n]+[{STOPS}]*[{CLOSERS}]*|[{STOPS}]+", text.text)
    whole = (text[match.start() : match.end()].strip() for match in found)
    return [piece for sentence in whole for piece in _shorter(sentence) if piece]


def _shorter(sentence: Traced) -> list[Traced]:
    if len(sentence) <= LONGEST_SENTENCE:
        return [sentence]
    at = max((sentence.text.rfind(c, 1, LONGEST_SENTENCE) for c in PAUSES), default=-1)
    at = at + 1 if at > 0 else LONGEST_SENTENCE
    return [sentence[:at], *_shorter(sentence[at:])]


def _cut(text: Traced) -> Iterator[Traced]:
    at = 0
    for word in _jieba().lcut(text.text):
        # A run of Chinese, or of anything else: a word is spoken as a whole or not at all.
        for part in PART.finditer(word):
            yield text[at + part.start() : at + part.end()]
        at += len(word)


def words(sentence: Traced, lexicon: Collection[str] = ()) -> list[Traced]:
    """Cut a sentence into words, those of the lexicon first; each sign comes out as a word of its own."""
    if not lexicon:
        return list(_cut(sentence))
    own = re.compile("|".join(re.escape(word) for word in sorted(lexicon, key=len, reverse=True)))
    found: list[Traced] = []
    at = 0
    for match in own.finditer(sentence.text):
        found += [*_cut(sentence[at : match.start()]), sentence[match.start() : match.end()]]
        at = match.end()
    return found + list(_cut(sentence[at:]))
