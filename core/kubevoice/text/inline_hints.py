"""Hints in plain text: readings such as <行|hang2> or 行[hang2], and pauses such as [停顿:0.5s].

A hint may be within markup: it becomes a character for private use while markup is left out.
"""

import re

from kubevoice.errors import InputError
from kubevoice.text.front_end_config import FrontEndConfig
from kubevoice.text.markup import strip_markup
from kubevoice.text.pinyin import parse_pinyin
from kubevoice.text.segment import is_han
from kubevoice.text.ssml.spans import Break, Speech, Style
from kubevoice.text.traced_text import TracedText

__all__ = ["parse_hints"]

PINYIN = r"[a-zü:\u00e0-\u01dc\u0300-\u036f0-5 '’-]{1,100}"
HINT = re.compile(
    r"\[(?:停顿|停頓|pause|break)[:： ]?\s?(?P<length>\d{1,6}(?:\.\d{1,3})?)\s?(?P<unit>ms|s|毫秒|秒)\]"
    rf"|<(?P<word>[^<>|\s][^<>|\n]{{0,31}})\|(?P<reading>{PINYIN})>"
    rf"|(?<=[㐀-鿿])\[(?P<behind>{PINYIN})\](?![(\[:])"
)
FIRST, LAST = 0xF0000, 0xFFFFD
"""The code points that stand for hints. They have no reading, so a text loses nothing without its own."""
PLACEHOLDER = re.compile(f"[{chr(FIRST)}-{chr(LAST)}]")
LONGEST_PAUSE = 20.0
"""Seconds, as in SSML."""

_Hint = Break | tuple[int, tuple[str, ...]]
"""A pause; or how many characters before it have which reading."""


def _parse_hint(match: re.Match[str]) -> _Hint | None:
    """Return what a match means; None if it is text that only looks like a hint."""
    if match["length"]:
        seconds = float(match["length"]) / (1000 if match["unit"] in ("ms", "毫秒") else 1)
        if seconds > LONGEST_PAUSE:
            raise InputError(f"{match[0]}: a pause has at most {LONGEST_PAUSE:g} s; write several sentences")
        return Break(seconds)
    try:
        reading = parse_pinyin(match["reading"] or match["behind"])
    except InputError:
        return None
    if match["word"]:
        return len(match["word"]), reading
    before = match.string[max(0, match.start() - len(reading)) : match.start()]
    return (len(reading), reading) if len(before) == len(reading) and all(map(is_han, before)) else None


def _replace_hints(text: str) -> tuple[TracedText, list[_Hint]]:
    """Return a text with a character for private use in the place of each hint, behind its word; and the hints."""
    traced = TracedText.from_input(text)
    parts: list[TracedText] = []
    hints: list[_Hint] = []
    at = 0
    for match in HINT.finditer(text):
        hint = _parse_hint(match) if len(hints) <= LAST - FIRST else None
        if hint is not None:
            word = traced[match.start("word") : match.end("word")] if match["word"] else traced[:0]
            parts += [traced[at : match.start()], word, TracedText(chr(FIRST + len(hints)), (None,))]
            hints.append(hint)
            at = match.end()
    return TracedText.join([*parts, traced[at:]]), hints


def _make_speech(text: TracedText, pinyin: tuple[str, ...] = ()) -> Speech:
    return Speech(text.text, Style(), 0, pinyin, is_word=bool(pinyin), origins=text.origins)


def parse_hints(text: str, config: FrontEndConfig) -> list[Speech | Break]:
    """Split a plain text at its hints.

    Parameters
    ----------
    text
        The input.
    config
        The front-end config: whether there are hints, and whether code is kept.

    Returns
    -------
    list[Speech | Break]
        The words without markup, each with its place in the input, and the pauses.

    Raises
    ------
    InputError
        If a pause is too long.
    """
    hints: list[_Hint] = []
    traced = TracedText.from_input(text)
    if config.hints and HINT.search(text):
        traced, hints = _replace_hints(PLACEHOLDER.sub(" ", text))
    traced = strip_markup(traced, keep_code=config.keep_code)
    spans: list[Speech | Break] = []
    at = 0
    for place in (match.start() for match in PLACEHOLDER.finditer(traced.text)) if hints else ():
        hint = hints[ord(traced.text[place]) - FIRST]
        begin = place if isinstance(hint, Break) else max(at, place - hint[0])
        spans.append(_make_speech(traced[at:begin]))
        spans.append(hint if isinstance(hint, Break) else _make_speech(traced[begin:place], hint[1]))
        at = place + 1
    spans.append(_make_speech(traced[at:]))
    return [span for span in spans if isinstance(span, Break) or span.text]
