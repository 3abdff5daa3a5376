"""Stages three and four: sentences, then words."""

import logging
import re
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

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


def sentences(text: str) -> list[str]:
    """Cut at sentence ends and line ends; an over-long sentence at its pauses, or failing those, anywhere."""
    found = re.findall(rf"[^{STOPS}\n]+[{STOPS}]*[{CLOSERS}]*|[{STOPS}]+", text)
    return [piece for sentence in found for piece in _shorter(sentence.strip()) if piece]


def _shorter(sentence: str) -> list[str]:
    if len(sentence) <= LONGEST_SENTENCE:
        return [sentence]
    at = max((sentence.rfind(c, 1, LONGEST_SENTENCE) for c in PAUSES), default=-1)
    at = at + 1 if at > 0 else LONGEST_SENTENCE
    return [sentence[:at], *_shorter(sentence[at:])]


def words(sentence: str) -> list[str]:
    """Cut a sentence into words; punctuation comes out as words of its own."""
    return [word for word in _jieba().lcut(sentence) if word.strip()]
