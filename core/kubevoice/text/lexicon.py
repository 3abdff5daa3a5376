"""Readings of a user's own: plain text, `word<TAB>pin1 yin1` a line, `#` before a remark."""

from kubevoice.errors import InputError
from kubevoice.text.pinyin import Lexicon, Reading
from kubevoice.text.units import is_syllable

__all__ = ["read_lexicon"]

MOST_WORDS = 20_000
LONGEST_WORD = 32
MOST_SYLLABLES = 32
TOLD = 20
"""Faults that one error lists."""


def _reading(text: str) -> Reading:
    syllables = tuple(text.lower().replace("u:", "v").replace("ü", "v").split())
    wrong = [s for s in syllables if s[-1] not in "12345" or not is_syllable(s[:-1])]
    if wrong:
        raise InputError(f"{wrong[0][:20]!r} is no pinyin syllable with a tone from 1 to 5")
    if not 0 < len(syllables) <= MOST_SYLLABLES:
        raise InputError(f"a word needs 1 to {MOST_SYLLABLES} syllables")
    return syllables


def _entry(line: str, known: Lexicon) -> tuple[str, Reading]:
    word, tab, reading = line.partition("\t")
    word = word.strip()
    if not tab:
        raise InputError("there is no tab; write a word, a tab, and its syllables")
    if not 0 < len(word) <= LONGEST_WORD:
        raise InputError(f"the word must have 1 to {LONGEST_WORD} characters")
    if word in known:
        raise InputError(f"{word} has a reading already")
    return word, _reading(reading)


def read_lexicon(text: str, name: str = "lexicon") -> Lexicon:
    """Read a lexicon; InputError lists every line that is wrong, by `name` and number."""
    known: dict[str, Reading] = {}
    problems: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        content = line.partition("#")[0].rstrip()
        if not content.strip():
            continue
        try:
            word, reading = _entry(content, known)
        except InputError as error:
            problems.append(f"{name} line {number}: {error}")
            continue
        known[word] = reading
        if len(known) > MOST_WORDS:
            raise InputError(f"{name} has more than {MOST_WORDS} words; keep those that the voice needs")
    if problems:
        raise InputError(problems[0], problems[:TOLD])
    return known
