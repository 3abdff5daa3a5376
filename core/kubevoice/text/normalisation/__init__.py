"""Stage two of the front end: text normalisation, which replaces digits and signs by Chinese words.

The rules apply in a fixed order, from the most specific to the most general. Words in Latin letters stay for a later
stage. `say_as` reads a text as the kind that SSML's `<say-as>` names.
"""

import re

from kubevoice.text.normalisation import dates, hyphens, identifiers, letters, maths, measures, scores
from kubevoice.text.normalisation.rule import Rule
from kubevoice.text.normalisation.sayas import KINDS, say_as
from kubevoice.text.traced_text import TracedText

__all__ = ["KINDS", "normalise", "say_as"]

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


def normalise(text: TracedText) -> TracedText:
    """Replace numbers, dates, times, units, signs and addresses by Chinese words.

    Parameters
    ----------
    text
        Cleaned text.

    Returns
    -------
    TracedText
        The text in words; new characters have no origin.
    """
    if PLAIN.fullmatch(text.text):
        return text
    for rule in RULES:
        text = text.sub(rule.pattern, rule.verbalize)
    return text.sub(letters.SIGN, lambda match: letters.NAMES[match[0]])
