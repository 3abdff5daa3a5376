"""Normalisation rules."""

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Rule", "rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One step of text normalisation.

    Attributes
    ----------
    name
        What the rule is for.
    pattern
        Where it applies.
    verbalize
        Returns the words for a match.
    """

    name: str
    pattern: re.Pattern[str]
    verbalize: Callable[[re.Match[str]], str]


def rule(name: str, pattern: str, verbalize: Callable[[re.Match[str]], str]) -> Rule:
    """Make a rule.

    Parameters
    ----------
    name
        What the rule is for.
    pattern
        Regular expression; letters match in either case, digits are those of ASCII.
    verbalize
        Returns the words for a match.

    Returns
    -------
    Rule
        The rule.
    """
    return Rule(name, re.compile(pattern, re.IGNORECASE | re.ASCII), verbalize)
