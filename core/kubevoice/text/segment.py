"""Stages three and four: sentences, then words."""

import logging
import re
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from kubevoice.text.traced import Traced

__all__ = ["PAUSES", "is_han", "sentences", "words"]

STOPS = "。！？；…!?;"
PAUSES = "，、：,:—-"
CLOSERS = "”’」』）》〉】\"'"
LONGEST_SENTENCE = 120
"""Characters; beyond this a sentence is cut at its pauses, since the network was never trained on longer ones."""
HAN = re.compile(r"[㐀-鿿豈-﫿〇\U00020000-\U0003ffff]")


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


def words(sentence: Traced) -> list[Traced]:
    """Cut a sentence into words; punctuation comes out as words of its own."""
    found = []
    at = 0
    for word in _jieba().lcut(sentence.text):
        if word.strip():
            found.append(sentence[at : at + len(word)])
        at += len(word)
    return found
