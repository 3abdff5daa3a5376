"""Stage two of the front end: text normalisation, which replaces digits and signs by Chinese words.

The rules apply in a fixed order, from the most specific to the most general. Words in Latin letters stay for a later
stage. `say_as` reads a text as the kind that SSML's `<say-as>` names.
"""

import re
from collections.abc import Callable

from kubevoice.text.normalisation import dates, hyphens, identifiers, letters, maths, measures, scores
from kubevoice.text.normalisation.rule import Rule
from kubevoice.text.normalisation.sayas import KINDS, say_as
from kubevoice.text.traced_text import TracedText

__all__ = ["KINDS", "Record", "normalise", "record_matches", "say_as"]

Record = Callable[[str, TracedText, str], None] | None
"""Called with the name of a rule, what it matches, and the words in its place; None if nobody asks."""

RULES: tuple[Rule, ...] = (
    *dates.SHORT,
    *identifiers.RULES,
    *hyphens.NAMES,
    *scores.RULES,
    *hyphens.RANGES,
    *dates.RULES,
    *scores.JOINED,
    *measures.RULES,
    *letters.RULES,
    *maths.RULES,
)

PLAIN = re.compile(r"[一-鿿，。！？；：、“”‘’（）《》…]*")
"""Text that no rule applies to: most sentences."""


def record_matches(
    name: str, text: TracedText, pattern: re.Pattern[str], verbalize: Callable[[re.Match[str]], str], record: Record
) -> None:
    """Record what a rule changes in a text.

    Parameters
    ----------
    name
        Name of the rule.
    text
        The text before it.
    pattern, verbalize
        Where the rule applies, and the words for a match.
    record
        Called with each change.
    """
    if record is not None:
        for match in pattern.finditer(text.text):
            words = verbalize(match)
            if words != match[0]:
                record(name, text[match.start() : match.end()], words)


def normalise(text: TracedText, record: Record = None) -> TracedText:
    """Replace numbers, dates, times, units, signs and addresses by Chinese words.

    Parameters
    ----------
    text
        Cleaned text.
    record
        Called with each decision.

    Returns
    -------
    TracedText
        The text in words; new characters have no origin.
    """
    if PLAIN.fullmatch(text.text):
        return text
    for rule in (*RULES, letters.SIGNS):
        record_matches(rule.name, text, rule.pattern, rule.verbalize, record)
        text = text.sub(rule.pattern, rule.verbalize)
    return text
