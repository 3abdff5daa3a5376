"""A user's own readings: plain text with one `word<TAB>pin1 yin1` a line; `#` begins a comment.

Chinese words instead of pinyin, or any words after `=`, are read instead of the word: `80后<TAB>八零后`.
"""

import re
from collections.abc import Iterable, Iterator

from kubevoice.errors import InputError
from kubevoice.text.g2p import Lexicon, Reading
from kubevoice.text.pinyin import parse_pinyin
from kubevoice.text.segment import is_han

__all__ = ["has_neutral_tones", "make_lexicon", "read_lexicon"]

FULL_TONES = re.compile(r"^#\s*neutral tones:\s*off\s*$", re.MULTILINE | re.IGNORECASE)
"""The line by which a lexicon says that words such as 衣服 have full tones in the recordings."""
MOST_WORDS = 20_000
LONGEST_WORD = 32
MOST_SYLLABLES = 32
MOST_PROBLEMS = 20
"""How many wrong entries one error lists."""


def _parse_reading(text: str) -> Reading:
    syllables = parse_pinyin(text)
    if not 0 < len(syllables) <= MOST_SYLLABLES:
        raise InputError(f"a word needs 1 to {MOST_SYLLABLES} syllables")
    return syllables


def _parse_entry(word: str, reading: str, lexicon: Lexicon) -> Reading | str:
    """Return the reading of a new entry, or the words in its place; InputError if it is not valid."""
    if not 0 < len(word) <= LONGEST_WORD:
        raise InputError(f"the word must have 1 to {LONGEST_WORD} characters")
    if word in lexicon:
        raise InputError(f"{word} already has a reading")
    words = reading.strip().removeprefix("=").strip()
    if reading.strip().startswith("=") or any(map(is_han, words)):
        if not 0 < len(words) <= LONGEST_WORD:
            raise InputError(f"the words in its place must have 1 to {LONGEST_WORD} characters")
        return words
    return _parse_reading(reading)


def make_lexicon(entries: Iterable[tuple[str, str, str | None]], name: str = "lexicon") -> Lexicon:
    """Check entries and make a lexicon of them.

    Parameters
    ----------
    entries
        Place, word and syllables of each entry; None for the syllables if the entry has none. Chinese words, or words
        after =, may stand for the syllables. The place is for messages, such as "lexicon.txt line 3".
    name
        Name of the lexicon, for messages.

    Returns
    -------
    Lexicon
        The reading of each word, or the words that are read instead of it.

    Raises
    ------
    InputError
        If entries are wrong, listing them by place, or if there are too many.
    """
    lexicon: dict[str, Reading | str] = {}
    problems: list[str] = []
    for place, word, reading in entries:
        try:
            if reading is None:
                raise InputError("there is no tab; write a word, a tab, and its syllables")  # noqa: TRY301  # listed too
            lexicon[word] = _parse_entry(word, reading, lexicon)
        except InputError as error:
            problems.append(f"{place}: {error}")
        if len(lexicon) > MOST_WORDS:
            raise InputError(f"{name} has more than {MOST_WORDS} words; keep those that the voice needs")
    if problems:
        raise InputError(problems[0], problems[:MOST_PROBLEMS])
    return lexicon


def read_lexicon(text: str, name: str = "lexicon") -> Lexicon:
    """Read a lexicon from the text of a file.

    Parameters
    ----------
    text
        The content of the file.
    name
        Name of the file, for messages.

    Returns
    -------
    Lexicon
        The reading of each word, or the words that are read instead of it.

    Raises
    ------
    InputError
        If lines are wrong, listing them by number, or if there are too many.
    """
    return make_lexicon(_entries(text, name), name)


def has_neutral_tones(text: str) -> bool:
    """Return whether words such as 衣服 end with a neutral tone in a voice.

    Parameters
    ----------
    text
        The content of its lexicon.

    Returns
    -------
    bool
        False if the lexicon has the line "# neutral tones: off".
    """
    return FULL_TONES.search(text) is None


def _entries(text: str, name: str) -> Iterator[tuple[str, str, str | None]]:
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        content = line.partition("#")[0].rstrip()
        if content.strip():
            word, tab, reading = content.partition("\t")
            yield f"{name} line {number}", word.strip(), reading if tab else None
