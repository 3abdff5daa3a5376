"""Figures to Chinese numerals."""

__all__ = ["NUMBER", "SIGNED", "amount", "cardinal", "digits", "price"]

NUMBER = r"(?<!\d)(?:\d{1,3}(?:,\d{3}){1,5}(?!\d)|\d++)(?:\.\d++)?"
"""A number without a sign, in a regular expression: all of its figures or none, so that long ones cost no retries."""
SIGNED = rf"(?:(?<![\dA-Za-z])[-−+])?{NUMBER}"
FIGURES = "零一二三四五六七八九"
SCALES = ("", "万", "亿", "万亿")
LONGEST = 16
"""Beyond ten quadrillions nobody hears a number any more: it is read figure by figure."""


def digits(text: str, one: str = "一") -> str:
    """Read figure by figure; what is no figure is left out. `one` may be 幺, as in telephone numbers."""
    return "".join(one if c == "1" else FIGURES[int(c)] for c in text if c in "0123456789")


def _below_ten_thousand(value: int) -> str:
    verbalized = ""
    for scale, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        figure = value // scale % 10
        if figure:
            verbalized += ("两" if figure == 2 and scale == 1000 else FIGURES[figure]) + name  # 两千
        elif verbalized and not verbalized.endswith("零") and value % scale:
            verbalized += "零"
    return verbalized


def cardinal(text: str) -> str:
    """Read a whole number: 两千零一, 十二. Leading zeros, and numbers beyond all use, go figure by figure."""
    if len(text) > LONGEST or (len(text) > 1 and text[0] == "0"):
        return digits(text)
    value = int(text)
    if value == 0:
        return FIGURES[0]
    verbalized, gap = "", False
    for power in range(3, -1, -1):
        part = value // 10_000**power % 10_000
        if not part:
            gap = gap or bool(verbalized)
            continue
        if verbalized and (gap or part < 1000):  # a missing thousand is heard as 零
            verbalized += "零"
        name = "两" if part == 2 and power else _below_ten_thousand(part)  # 两万
        verbalized += (name.removeprefix("一") if 10 <= part < 20 and power else name) + SCALES[power]  # 十万
        gap = False
    if verbalized.startswith("一十"):
        verbalized = verbalized[1:]
    return verbalized.replace("万亿", "万", 1) if verbalized.count("亿") > 1 else verbalized


def amount(text: str) -> str:
    """Read a number that may have a sign, commas and decimals: 负三点一四."""
    sign = {"-": "负", "−": "负", "+": "正"}.get(text[:1], "")
    whole, _, fraction = text.lstrip("-−+").replace(",", "").partition(".")
    verbalized = cardinal(whole or "0")
    return sign + verbalized + (f"点{digits(fraction)}" if fraction else "")


def price(text: str) -> str:
    """Read an amount of money: like a number, without zeros at the end of its decimals."""
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return amount(f"{whole}.{fraction}" if fraction else whole)
