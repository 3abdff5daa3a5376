"""Readings of a user's own: plain text, `word<TAB>pin1 yin1` a line, `#` before a remark."""

from collections.abc import Iterable, Iterator

from kubevoice.errors import InputError
from kubevoice.text.g2p import Lexicon, Reading, parse_reading

__all__ = ["make_lexicon", "read_lexicon"]

MOST_WORDS = 20_000
LONGEST_WORD = 32
MOST_SYLLABLES = 32
TOLD = 20
"""Faults that one error lists."""


def _reading(text: str) -> Reading:
    syllables = parse_reading(text)
    if not 0 < len(syllables) <= MOST_SYLLABLES:
        raise InputError(f"a word needs 1 to {MOST_SYLLABLES} syllables")
    return syllables


def _checked(word: str, reading: str, known: Lexicon) -> Reading:
    if not 0 < len(word) <= LONGEST_WORD:
        raise InputError(f"the word must have 1 to {LONGEST_WORD} characters")
    if word in known:
        raise InputError(f"{word} has a reading already")
    return _reading(reading)


def make_lexicon(entries: Iterable[tuple[str, str, str | None]], name: str = "lexicon") -> Lexicon:
    """Make a lexicon of (place, word, syllables), None for syllables that are not there.

    InputError lists every entry that is wrong, by its place.
    """
    known: dict[str, Reading] = {}
    problems: list[str] = []
    for place, word, reading in entries:
        try:
            if reading is None:
                raise InputError("there is no tab; write a word, a tab, and its syllables")  # noqa: TRY301  # listed too
            known[word] = _checked(word, reading, known)
        except InputError as error:
            problems.append(f"{place}: {error}")
        if len(known) > MOST_WORDS:
            raise InputError(f"{name} has more than {MOST_WORDS} words; keep those that the voice needs")
    if problems:
        raise InputError(problems[0], problems[:TOLD])
    return known


def read_lexicon(text: str, name: str = "lexicon") -> Lexicon:
    """Read a lexicon from a file's text; InputError lists every line that is wrong, by `name` and number."""
    return make_lexicon(_entries(text, name), name)


def _entries(text: str, name: str) -> Iterator[tuple[str, str, str | None]]:
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        content = line.partition("#")[0].rstrip()
        if content.strip():
            word, tab, reading = content.partition("\t")
            yield f"{name} line {number}", word.strip(), reading if tab else None
