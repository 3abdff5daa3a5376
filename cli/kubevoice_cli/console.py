"""Output: answers go to stdout, progress and errors to stderr."""

import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape

__all__ = ["answers", "errors", "home", "plain"]

answers = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """Escape a text, so that rich prints it as it is.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The text with rich's markup escaped.
    """
    return escape(text)


def home() -> Path:
    """Return the state folder.

    Returns
    -------
    Path
        KUBEVOICE_HOME, or ~/.kubevoice; absolute.
    """
    return Path(os.environ.get("KUBEVOICE_HOME") or Path.home() / ".kubevoice").absolute()
