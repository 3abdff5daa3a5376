"""The error for a voice that does not exist."""

from collections.abc import Collection
from difflib import get_close_matches

from kubevoice.errors import InputError

__all__ = ["UnknownVoiceError"]

NEAR_NAMES = 5
"""Most names that an error lists."""


class UnknownVoiceError(InputError):
    """There is no voice of this name.

    Parameters
    ----------
    name : str
        What the caller asked for.
    names : collection of str
        The voices there are. A few are listed; of many, those whose names are near.
    """

    def __init__(self, name: str, names: Collection[str]) -> None:
        message = f"there is no voice {name[:64]!r}"
        if len(names) <= NEAR_NAMES:
            super().__init__(f"{message}; there are: {', '.join(names) or 'none'}")
            return
        near = get_close_matches(name[:64], names, NEAR_NAMES, cutoff=0.5)
        hint = f"near names are: {', '.join(near)}" if near else "no name is near"
        super().__init__(f"{message}; {hint}; GET /v1/voices lists all {len(names)}")
