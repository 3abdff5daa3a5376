"""A rule: what it is for, where it applies, and what is said instead."""

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Rule", "rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One step of text normalisation: every match of `pattern` is replaced by what `say` makes of it."""

    name: str
    pattern: re.Pattern[str]
    say: Callable[[re.Match[str]], str]


def rule(name: str, pattern: str, say: Callable[[re.Match[str]], str]) -> Rule:
    """Make a rule; letters match in either case, and figures are ASCII's."""
    return Rule(name, re.compile(pattern, re.IGNORECASE | re.ASCII), say)
