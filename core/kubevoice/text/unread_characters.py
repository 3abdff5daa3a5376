"""Characters without a reading in Mandarin: rare Chinese ones, and letters of other scripts."""

from collections.abc import Collection
from functools import lru_cache

from kubevoice.errors import InputError
from kubevoice.text.characters import clean
from kubevoice.text.g2p import has_reading
from kubevoice.text.normalisation.letters import NAMES
from kubevoice.text.segment import is_han
from kubevoice.text.ssml.spans import Notice
from kubevoice.text.traced_text import TracedText

__all__ = ["find_unread", "pass_over_unread"]

MOST_NOTICES = 20


@lru_cache(maxsize=20_000)
def _is_unread(character: str) -> bool:
    if character.isascii() or not character.isalpha() or character in NAMES:
        return False
    return not (is_han(character) and has_reading(character))


def pass_over_unread(text: TracedText, words: Collection[str], *, strict: bool) -> TracedText:
    """Return a text without the characters that have no reading.

    Parameters
    ----------
    text
        Cleaned text.
    words
        Words whose readings are known, a lexicon; their characters stay.
    strict
        Whether such a character is an error.

    Returns
    -------
    TracedText
        The rest.

    Raises
    ------
    InputError
        If there is such a character and `strict` is true; the message names it.
    """
    unread = {c for c in text.text if _is_unread(c) and not any(c in word for word in words)}
    if unread and strict:
        first = next(c for c in text.text if c in unread)
        raise InputError(f"character {first!r} has no known reading; use another word")
    return text.translate(lambda character: "" if character in unread else character) if unread else text


def find_unread(text: str, words: Collection[str] = ()) -> tuple[Notice, ...]:
    """Return a notice for each character of a text that is passed over.

    Parameters
    ----------
    text
        The input.
    words
        Words whose readings are known, a lexicon.

    Returns
    -------
    tuple[Notice, ...]
        At most MOST_NOTICES, each with the character and the place where it is first, which counts from 1.
    """
    if not any(map(_is_unread, text)):
        return ()
    cleaned = clean(text)
    places = {c: o for c, o in zip(reversed(cleaned.text), reversed(cleaned.origins), strict=True) if _is_unread(c)}
    notices = []
    for character, origin in sorted(places.items(), key=lambda item: item[1] or 0):
        if not any(character in word for word in words):
            begin = (origin or 0) - text.rfind("\n", 0, origin or 0)
            message = f"character {character!r} has no reading in Mandarin and is passed over"
            notices.append(Notice(message, text.count("\n", 0, origin or 0) + 1, begin))
    return tuple(notices[:MOST_NOTICES])
