"""Stage two: everything written in figures and signs becomes words.

Rules in a fixed order, from the most particular to the most general, each one pattern and what is said for it. Words in
Latin letters stay, for the stage that reads them. `say_as` reads a text as what SSML says it is.
"""

import re

from kubevoice.text.normalisation import dates, identifiers, letters, maths, measures
from kubevoice.text.normalisation.rule import Rule
from kubevoice.text.normalisation.sayas import KINDS, say_as
from kubevoice.text.traced_text import TracedText

__all__ = ["KINDS", "normalise", "say_as"]

RULES: tuple[Rule, ...] = (
    *identifiers.RULES,
    *maths.SCORES,
    *dates.RULES,
    *measures.RULES,
    *letters.RULES,
    *maths.RULES,
)

PLAIN = re.compile(r"[一-鿿，。！？；：、“”‘’（）《》…]*")
"""Most sentences: nothing in them is for any rule."""


def normalise(text: TracedText) -> TracedText:
    """Write out numbers, dates, times, units, signs and addresses; what becomes words has no origin."""
    if PLAIN.fullmatch(text.text):
        return text
    for each in RULES:
        text = text.sub(each.pattern, each.say)
    return text.sub(letters.LEFT, lambda found: letters.NAMES[found[0]])
