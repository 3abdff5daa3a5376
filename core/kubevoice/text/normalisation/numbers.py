"""Digits to Chinese numerals."""

__all__ = ["NUMBER", "SIGNED", "read_amount", "read_cardinal", "read_digits", "read_price"]

NUMBER = r"(?<!\d)(?:\d{1,3}(?:,\d{3}){1,5}(?!\d)|\d++)(?:\.\d++)?"
"""Regular expression of a number without a sign. It does not backtrack, so long numbers cost little time."""
SIGNED = rf"(?:(?<![\dA-Za-z])[-−+])?{NUMBER}"
NUMERALS = "零一二三四五六七八九"
SCALES = ("", "万", "亿", "万亿")
LONGEST = 16
"""Digits of the longest number that is read as one; longer ones are read digit by digit."""


def read_digits(text: str, one: str = "一") -> str:
    """Read digit by digit.

    Parameters
    ----------
    text
        A text; characters that are not digits are left out.
    one
        Reading of 1: 一, or 幺 as in telephone numbers.

    Returns
    -------
    str
        Chinese words.
    """
    return "".join(one if c == "1" else NUMERALS[int(c)] for c in text if c in "0123456789")


def _below_ten_thousand(value: int) -> str:
    verbalized = ""
    for scale, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // scale % 10
        if digit:
            verbalized += ("两" if digit == 2 and scale == 1000 else NUMERALS[digit]) + name  # 两千
        elif verbalized and not verbalized.endswith("零") and value % scale:
            verbalized += "零"
    return verbalized


def read_cardinal(text: str) -> str:
    """Read an integer: 两千零一, 十二.

    Parameters
    ----------
    text
        Its digits; with a leading zero or more than LONGEST digits they are read one by one.

    Returns
    -------
    str
        Chinese words.
    """
    if len(text) > LONGEST or (len(text) > 1 and text[0] == "0"):
        return read_digits(text)
    value = int(text)
    if value == 0:
        return NUMERALS[0]
    verbalized, gap = "", False
    for power in range(3, -1, -1):
        part = value // 10_000**power % 10_000
        if not part:
            gap = gap or bool(verbalized)
            continue
        if verbalized and (gap or part < 1000):  # a missing thousand is read as 零
            verbalized += "零"
        name = "两" if part == 2 and power else _below_ten_thousand(part)  # 两万
        verbalized += (name.removeprefix("一") if 10 <= part < 20 and power else name) + SCALES[power]  # 十万
        gap = False
    if verbalized.startswith("一十"):
        verbalized = verbalized[1:]
    return verbalized.replace("万亿", "万", 1) if verbalized.count("亿") > 1 else verbalized


def read_amount(text: str) -> str:
    """Read a number: 负三点一四.

    Parameters
    ----------
    text
        Digits with a sign, commas and decimals, if any.

    Returns
    -------
    str
        Chinese words.
    """
    sign = {"-": "负", "−": "负", "+": "正"}.get(text[:1], "")
    integer, _, fraction = text.lstrip("-−+").replace(",", "").partition(".")
    verbalized = read_cardinal(integer or "0")
    return sign + verbalized + (f"点{read_digits(fraction)}" if fraction else "")


def read_price(text: str) -> str:
    """Read an amount of money: a number without zeros at the end of its decimals.

    Parameters
    ----------
    text
        Digits with decimals, if any.

    Returns
    -------
    str
        Chinese words.
    """
    integer, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return read_amount(f"{integer}.{fraction}" if fraction else integer)
