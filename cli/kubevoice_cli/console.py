"""Where words go: answers to stdout, everything about the work to stderr."""

import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape

__all__ = ["answers", "errors", "home", "plain"]

answers = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """Return text that rich prints as it is."""
    return escape(text)


def home() -> Path:
    """Return the state folder: KUBEVOICE_HOME, or ~/.kubevoice."""
    return Path(os.environ.get("KUBEVOICE_HOME") or Path.home() / ".kubevoice").absolute()
