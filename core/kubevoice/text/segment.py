"""Stages three and four: sentences, then words."""

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
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
"""Characters. A longer sentence is split at its pauses, because the network was not trained on longer ones."""
HAN = re.compile(r"[㐀-鿿豈-﫿〇\U00020000-\U0003ffff]")

LATIN = re.compile(r"[A-Za-z]")
PART = re.compile(rf"{HAN.pattern}+|[A-Z]?[a-z]+(?:'[a-z]+)?|[A-Z]+(?![a-z])|[A-Z]|\S")
"""Runs of Chinese; English words, a name like ChatGPT as two; any other sign."""
APOSTROPHE = re.compile(r"(?<![A-Za-z])[A-Za-z]+'[A-Za-z]+(?![A-Za-z])")
"""A word such as don't or Xi'an."""


def is_latin(character: str) -> bool:
    """Return whether a character is an ASCII letter.

    Parameters
    ----------
    character
        One character.

    Returns
    -------
    bool
        True for A to Z and a to z.
    """
    return LATIN.match(character) is not None


def is_han(character: str) -> bool:
    """Return whether a character is Chinese.

    Parameters
    ----------
    character
        One character.

    Returns
    -------
    bool
        True for Chinese characters and 〇.
    """
    return HAN.match(character) is not None


@cache
def _jieba() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba still looks for pkg_resources, and the user can do nothing about it
        import jieba

    jieba.setLogLevel(logging.ERROR)
    tokenizer = jieba.Tokenizer()
    # By default jieba leaves its parsed dictionary in the system's temporary folder. This folder is removed.
    folder = tempfile.TemporaryDirectory(prefix="kubevoice-jieba-")
    tokenizer.tmp_dir, tokenizer.cache_file = folder.name, str(Path(folder.name) / "cache")
    tokenizer.initialize()
    folder.cleanup()
    return tokenizer


def is_common_word(word: str) -> bool:
    """Return whether jieba's dictionary has a word of two or more characters.

    Parameters
    ----------
    word
        A word.

    Returns
    -------
    bool
        Whether it is there.
    """
    return len(word) > 1 and bool(_jieba().FREQ.get(word))


def _find_end(text: str, at: int, *, final: bool) -> int | None:
    """Return where the sentence that begins at `at` ends; None if that depends on further text.

    A stop within brackets or quotes ends the sentence only if they do not close within LONGEST_SENTENCE.
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
        # Closing brackets and further stops after a stop belong to the same sentence.
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
    """Split a text at sentence ends and line ends.

    A sentence longer than LONGEST_SENTENCE is split at its pauses, or anywhere if it has none. Text in brackets or
    quotes stays in one sentence if it is short enough.

    Parameters
    ----------
    text
        Cleaned and normalised text.

    Returns
    -------
    list[TracedText]
        The sentences, without white space at either end.
    """
    parts = []
    at = 0
    while (end := _find_end(text.text, at, final=True)) is not None and at < len(text):
        parts.append(text[at:end].strip())
        at = end
    return [sentence for sentence in parts if sentence]


class Splitter:
    """Splits text that arrives bit by bit into the same sentences as if it had arrived at once.

    One caller uses it; `feed` and `flush` keep the text of the unfinished sentence and remove complete ones.
    """

    def __init__(self) -> None:
        self._rest = ""
        """Text of the unfinished sentence."""

    def feed(self, text: str) -> list[str]:
        """Add text and return the sentences that are complete whatever follows.

        Parameters
        ----------
        text
            The next part of the text.

        Returns
        -------
        list[str]
            Complete sentences with their white space.
        """
        self._rest += text
        return self._take_complete(final=False)

    def flush(self) -> list[str]:
        """Return the rest at the end of the text.

        Returns
        -------
        list[str]
            The remaining sentences with their white space.
        """
        return self._take_complete(final=True)

    def _take_complete(self, *, final: bool) -> list[str]:
        parts = []
        at = 0
        while at < len(self._rest) and (end := _find_end(self._rest, at, final=final)) is not None:
            parts.append(self._rest[at:end])
            at = end
        self._rest = self._rest[at:]
        return parts


def _segment(text: TracedText) -> Iterator[TracedText]:
    """Yield the words of a text by jieba."""
    at = 0
    for match in APOSTROPHE.finditer(text.text):  # jieba would split it
        yield from _segment(text[at : match.start()])
        yield text[match.start() : match.end()]
        at = match.end()
    if at:
        text, at = text[at:], 0
    for word in _jieba().lcut(text.text):
        # Chinese and anything else become words of their own: a word has one kind of reading.
        for part in PART.finditer(word):
            yield text[at + part.start() : at + part.end()]
        at += len(word)


def split_words(sentence: TracedText, entries: re.Pattern[str] | None = None) -> list[TracedText]:
    """Split a sentence into words.

    Parameters
    ----------
    sentence
        The sentence.
    entries
        Matches words that are never split; they come before jieba's.

    Returns
    -------
    list[TracedText]
        The words; each punctuation mark or sign is a word of its own.
    """
    if entries is None:
        return list(_segment(sentence))
    tokens: list[TracedText] = []
    at = 0
    for match in entries.finditer(sentence.text):
        tokens += [*_segment(sentence[at : match.start()]), sentence[match.start() : match.end()]]
        at = match.end()
    return tokens + list(_segment(sentence[at:]))
