"""Fractions, ranges, formulas, and all remaining numbers."""

import re

from kubevoice.text.normalisation.measures import MANY
from kubevoice.text.normalisation.numbers import NUMBER, SIGNED, read_amount, read_cardinal, read_digits
from kubevoice.text.normalisation.rule import rule

__all__ = ["RULES"]

SIGNS = {
    "+": "加", "-": "减", "−": "减", "×": "乘以", "*": "乘以", "÷": "除以", "/": "除以", "=": "等于", "<": "小于", ">": "大于",
    "≥": "大于等于", "≤": "小于等于", "≠": "不等于", "≈": "约等于", "±": "加减", "!=": "不等于", "==": "等于", "<=": "小于等于", ">=": "大于等于",
}  # fmt: skip
OPERATOR = r"(?:[!=<>]=|[+×÷=<>≥≤≠≈±*])"
SERIAL_DIGITS = 8


def _replace_fraction(match: re.Match[str]) -> str:
    integer, sign, upper, lower = match.groups()
    verbalized = f"{read_amount(lower)}分之{read_amount(upper)}"
    return (f"{read_amount(integer)}又" if integer else "") + ("负" if sign else "") + verbalized


def _read_operand(text: str) -> str:
    return read_amount(text) if text[0] in "0123456789" else text


def _replace_formula(match: re.Match[str]) -> str:
    """Read a formula: a sign between two operands is an operation, a sign before an operand belongs to it."""
    verbalized, operand = "", False
    for part in re.findall(rf"{NUMBER}|[A-Za-z]+|[!=<>]=|\S", match[0]):
        if part in SIGNS:
            verbalized += SIGNS[part] if operand or part not in "-−+" else {"+": "正"}.get(part, "负")
            operand = False
        else:
            verbalized += _read_operand(part)
            operand = True
    return verbalized


def _replace_plain(match: re.Match[str]) -> str:
    """Read a number whose kind does not follow from the text around it."""
    text = match[0]
    bare = text.isdigit()
    if bare and len(text) == SERIAL_DIGITS and "000" not in text and text[0] != text[1]:
        return read_digits(text)  # eight digits alone are a telephone number or a serial
    return read_amount(text)


RULES = (
    rule("fraction", r"(?<![\d./])(?:(\d+)又)?(?:(?<![\dA-Z])([-−]))?(\d{1,5})/(\d{1,5})(?![\d./])", _replace_fraction),
    rule("exponent", rf"({NUMBER}|[A-Za-z]|[)）])\^(?:([-−]?\d{{1,4}})(?!\d)|([A-Za-z])(?![A-Za-z]))", lambda m: f"{_read_operand(m[1])}的{read_amount(m[2]) if m[2] else m[3]}次方"),
    rule("power", r"(?<=[\dA-Za-z)）])([²³])", lambda m: "的平方" if m[1] == "²" else "的立方"),
    rule("sum of powers", r"(?<=的[平立]方)\s?([-−+×÷*/])\s?(?=[\dA-Za-z(（√])", lambda m: SIGNS[m[1]]),
    rule("root", rf"√\s?({NUMBER})", lambda m: f"根号{read_amount(m[1])}"),
    rule("formula", rf"(?<![A-Za-z\d])(?=[^=+×÷<>≥≤≠≈±*]{{0,40}}{OPERATOR})[-−]?(?:{NUMBER}|[A-Za-z])(?:\s?(?:[!=<>]=|[-−/^+×÷=<>≥≤≠≈±*])\s?[-−]?(?:{NUMBER}|[A-Za-z]))+(?![A-Za-z\d])",
         _replace_formula),
    rule("compared", rf"(?:^|(?<=[^\dA-Za-z]))([<>]=|[<>≥≤≈±])\s?(?={NUMBER})", lambda m: "正负" if m[1] == "±" else SIGNS[m[1]]),
    rule("unequal", r"\s?(!=|==|<=|>=)\s?", lambda m: SIGNS[m[1]]),
    rule("range", rf"({SIGNED})({MANY})?\s?[-~～—–]+\s?({NUMBER})(?![\d-])", lambda m: f"{read_amount(m[1])}{m[2] or ''}到{read_amount(m[3])}"),
    rule("many", r"(?<=[^\d.])\.\d+|^\.\d+", lambda m: read_amount("0" + m[0])),
    rule("some", r"(?<!\d)(\d+)(?=多|余|几)", lambda m: read_cardinal(m[1])),
    rule("event", r"(?<![\d.])\d{3}(?=新政|事件|高校|院校|工程|大促|晚会|革命|惨案|团购)", lambda m: read_digits(m[0])),
    rule("shopping day", r"(?<![\d.])(?:(11)·11|(12)·12)(?!\d)", lambda m: "双十一" if m[1] else "双十二"),
    rule("day of an event", r"(?<![\d.])(\d{1,2})·(\d{1,2})(?!\d)", lambda m: read_digits(m[0])),
    rule("thousands with spaces", r"(?<![\d.] )(?<![\d.])\d{1,3}(?: \d{3}){1,4}(?![ ]?\d)", lambda m: read_cardinal(m[0].replace(" ", ""))),
    rule("metres and centimetres", r"(?<![\d.])(\d)米(\d{1,2})(?!\d|\.\d|[^，。、；！？,;!?）)\s的左高多以]|高[处度空])", lambda m: f"{read_cardinal(m[1])}米{read_digits(m[2])}"),
    rule("ordinal", r"(?<=第)\d+", lambda m: read_cardinal(m[0].lstrip("0") or "0")),
    rule("more", rf"({NUMBER})\+(?![\d\s]*\d)", lambda m: f"{read_amount(m[1])}加"),
    rule("number", SIGNED, _replace_plain),
    rule("figures", r"\d+", lambda m: read_digits(m[0])),
)  # fmt: skip
