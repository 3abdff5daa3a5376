"""Stages three and four: sentences, then words."""

import logging
import re
import tempfile
import warnings
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from kubevoice.text.traced_text import TracedText

__all__ = ["PAUSES", "Splitter", "is_han", "is_latin", "split_sentences", "split_words"]

STOPS = "。！？；…!?;"
PAUSES = "，、：,:—-"
CLOSERS = "”’」』）》〉】\"'"
PAIRS = {"“": "”", "‘": "’", "「": "」", "『": "』", "（": "）", "《": "》", "〈": "〉", "【": "】"}
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


def _end(text: str, at: int, *, final: bool) -> int | None:
    """Return where the sentence that begins at `at` ends; None if that depends on text yet to come.

    A stop within brackets or quotes ends nothing, unless they never close within a sentence's length.
    """
    open_pairs: list[str] = []
    fallback = 0
    for i in range(at, min(len(text), at + LONGEST_SENTENCE)):
        character = text[i]
        if character == "\n":
            return i + 1
        if character in PAIRS:
            open_pairs.append(PAIRS[character])
        elif open_pairs and character == open_pairs[-1]:
            open_pairs.pop()
        # A closing bracket behind a stop belongs to it, and so do further stops.
        ends = character in STOPS or (i > at and character in CLOSERS and text[i - 1] in STOPS + CLOSERS)
        if ends and i + 1 == len(text) and not final:
            return None
        if ends and text[i + 1 : i + 2] not in tuple(STOPS + CLOSERS):
            if not open_pairs:
                return i + 1
            fallback = i + 1
    if len(text) - at < LONGEST_SENTENCE:
        return len(text) if final else None
    pause = max(text.rfind(c, at + 1, at + LONGEST_SENTENCE) + 1 for c in PAUSES)
    return fallback or pause or at + LONGEST_SENTENCE


def split_sentences(text: TracedText) -> list[TracedText]:
    """Cut at sentence ends and line ends; an over-long sentence at its pauses, or failing those, anywhere.

    Brackets and quotes are kept whole where a sentence's length allows.
    """
    parts = []
    at = 0
    while (end := _end(text.text, at, final=True)) is not None and at < len(text):
        parts.append(text[at:end].strip())
        at = end
    return [sentence for sentence in parts if sentence]


class Splitter:
    """Sentences of text that comes in pieces, the same as if it had come at once."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        """Take more text; return the sentences that are complete whatever follows, white space and all."""
        self._rest += text
        return self._take_complete(final=False)

    def flush(self) -> list[str]:
        """Return what is left once the text has ended."""
        return self._take_complete(final=True)

    def _take_complete(self, *, final: bool) -> list[str]:
        parts = []
        at = 0
        while at < len(self._rest) and (end := _end(self._rest, at, final=final)) is not None:
            parts.append(self._rest[at:end])
            at = end
        self._rest = self._rest[at:]
        return parts


def _cut(text: TracedText) -> Iterator[TracedText]:
    at = 0
    for word in _jieba().lcut(text.text):
        # A run of Chinese, or of anything else: a word is spoken as a whole or not at all.
        for part in PART.finditer(word):
            yield text[at + part.start() : at + part.end()]
        at += len(word)


def split_words(sentence: TracedText, lexicon: Collection[str] = ()) -> list[TracedText]:
    """Cut a sentence into words, those of the lexicon first; each sign comes out as a word of its own."""
    if not lexicon:
        return list(_cut(sentence))
    own = re.compile("|".join(re.escape(word) for word in sorted(lexicon, key=len, reverse=True)))
    tokens: list[TracedText] = []
    at = 0
    for match in own.finditer(sentence.text):
        tokens += [*_cut(sentence[at : match.start()]), sentence[match.start() : match.end()]]
        at = match.end()
    return tokens + list(_cut(sentence[at:]))
