"""Amounts of a resource, as Kubernetes writes them."""

import re
from typing import Final

__all__ = ["QUANTITY", "parse_quantity"]

QUANTITY: Final = r"^([1-9][0-9]*(\.[0-9]+)?|0?\.[0-9]*[1-9][0-9]*)(m|[kMGTPE]|[KMGTPE]i)?$"
"""An amount above 0."""
_POWERS = "kMGTPE"


def parse_quantity(amount: str) -> float:
    """Return the value of a quantity.

    Parameters
    ----------
    amount
        Such as 500m, 2 or 4Gi; it matches `QUANTITY`.

    Returns
    -------
    float
        Cores or bytes, as the resource is counted.

    Raises
    ------
    ValueError
        If it is no quantity.
    """
    if (match := re.fullmatch(QUANTITY, amount)) is None:
        raise ValueError(f"{amount!r} is not an amount such as 500m, 2 or 4Gi")
    number, unit = match[1], match[3] or ""
    if unit == "m":
        return float(number) / 1000
    base = 1024.0 if unit.endswith("i") else 1000.0
    return float(number) * base ** (_POWERS.lower().index(unit[0].lower()) + 1 if unit else 0)
