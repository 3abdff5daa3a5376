"""The type of a field with text."""

from typing import Annotated

from pydantic import AfterValidator

__all__ = ["Text"]


def _check_surrogates(text: str) -> str:
    """Refuse half of a surrogate pair, which JSON can write and UTF-8 cannot; cutting a string may leave one."""
    at = next((at for at, char in enumerate(text) if "\ud800" <= char <= "\udfff"), None)
    if at is not None:
        raise ValueError(f"character {at} is half a surrogate pair; send whole characters")
    return text


Text = Annotated[str, AfterValidator(_check_surrogates)]
