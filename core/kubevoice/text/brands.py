"""Brands and terms in Latin letters that English rules read wrong: Wi-Fi, C++."""

import re
from functools import cache
from importlib import resources

__all__ = ["load_brands"]


@cache
def load_brands() -> tuple[dict[str, str], re.Pattern[str]]:
    """Return the table of brands.

    Returns
    -------
    dict[str, str]
        Words that are read in the place of each brand.
    re.Pattern[str]
        Matches brands that are not parts of longer words; a number may follow, as in WiFi6.
    """
    text = (resources.files("kubevoice.text") / "tables" / "brands.txt").read_text(encoding="utf-8")
    brands = dict(line.split("\t") for line in text.splitlines() if not line.startswith("# "))
    names = "|".join(re.escape(brand) for brand in sorted(brands, key=len, reverse=True))
    return brands, re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z+#])")
