"""Dates and times of day."""

import re

from kubevoice.text.normalisation.numbers import cardinal, digits
from kubevoice.text.normalisation.rule import rule

__all__ = ["RULES", "clock", "date", "month_day", "year"]

MONTH, DAY = r"(?:0?[1-9]|1[0-2])(?!\d)", r"(?:0?[1-9]|[12]\d|3[01])(?!\d)"
FULL_MONTH = r"(?:0[1-9]|1[0-2])(?!\d)"
FULL_DAY = r"(?:0[1-9]|[12]\d|3[01])(?!\d)"
YEAR = r"(?<![\d.])(?:1[0-9]|20|21)\d\d"
HOUR, SIXTY = r"(?<![\d.:])(?:[01]?\d|2[0-4])", r"[0-5]\d(?![\d:])"
HALVES = {"a": "上午", "p": "下午"}


def year(text: str) -> str:
    """Read a year figure by figure: 二零二四年."""
    return f"{digits(text)}年"


def month_day(month: str, day: str | None = None, suffix: str = "日") -> str:
    """Read a month, and its day if there is one."""
    verbalized = f"{cardinal(month.lstrip('0'))}月"
    return verbalized + (f"{cardinal(day.lstrip('0'))}{suffix}" if day else "")


def date(year_text: str, month: str | None = None, day: str | None = None) -> str:
    """Read a date by its parts."""
    return year(year_text) + (month_day(month, day) if month else "")


def clock(hour: str, minute: str, second: str | None = None, half: str | None = None) -> str:
    """Read a time of day: 三点零五分, 十一点, 下午三点三十分."""
    hours = cardinal(str(int(hour)))
    verbalized = f"{'两' if hours == '二' else hours}点"
    if int(minute) or second:
        verbalized += f"{'零' if minute[0] == '0' and minute != '00' else ''}{cardinal(str(int(minute)))}分"
    if second:
        verbalized += f"{'零' if second[0] == '0' and second != '00' else ''}{cardinal(str(int(second)))}秒"
    return HALVES.get((half or " ")[0].lower(), "") + verbalized


def _era(found: re.Match[str]) -> str:
    era = "公元前" if found[3].lower().startswith("b") else "公元"
    return era + (date(found[1], found[2]) if found[2] else digits(found[1]) + "年")


def _clocks(found: re.Match[str]) -> str:
    first = clock(found[1], found[2], found[3])
    return f"{first}到{clock(found[4], found[5], found[6])}" if found[4] else first


HALF = r"\s?([ap])\.?m(?:\.|\b)"

RULES = (
    rule("era", rf"(?<!\d)(\d{{1,4}})(?:年({MONTH})月|年)?\s?(bc|b\.c\.|bce|ad|a\.d\.)(?![a-z])", _era),
    rule("years", r"(?<!\d)((?:1[5-9]|2[01])\d\d)年?\s?[-~～—至到]+\s?((?:1[5-9]|2[01])\d\d)(?!\d)(年?)", lambda m: f"{digits(m[1])}到{digits(m[2])}{m[3]}"),
    rule("date", rf"({YEAR})([-/.])({MONTH})\2({DAY})(?![.\d])", lambda m: date(m[1], m[3], m[4])),
    rule("day first", rf"(?<!\d)({DAY})/({MONTH})/((?:19|20)\d\d)(?!\d)", lambda m: date(m[3], m[2], m[1])),
    rule("short date", rf"(?<![\d/])(\d\d)/({MONTH})/({DAY})(?![/\d])", lambda m: date(m[1], m[2], m[3])),
    rule("month of year", rf"({YEAR})(?:[-/]({MONTH})|\.({FULL_MONTH}))(?![-/.\d])", lambda m: date(m[1], m[2] or m[3])),
    rule("year last", rf"(?<!\d)({FULL_MONTH})[-/]((?:19|20)\d\d)(?!\d)", lambda m: date(m[2], m[1])),
    rule("month and day", rf"(?<![\d.:/-])(0[1-9]|1[0-2])[-.]({FULL_DAY})(?![-.\d:%])(?=\D*$|[，。,])(?<=0\d[-.]\d\d)",
         lambda m: month_day(m[1], m[2])),
    rule("named date", rf"(?<=[期间止至日])([:：是为]?)({MONTH})[-/.]({DAY})(?![-/.\d:])",
         lambda m: m[1] + month_day(m[2], m[3])),
    rule("Chinese date", rf"(?<!\d)(?:(\d{{2}}|\d{{4}})年)?({MONTH})月({DAY})(日|号|(?!\d))",
         lambda m: (year(m[1]) if m[1] else "") + month_day(m[2], m[3], m[4] or "日")),
    rule("months", rf"(?<!\d)({MONTH})(?:月份?)?[-~～—]({MONTH})月", lambda m: f"{cardinal(m[1])}到{month_day(m[2])}"),
    rule("year and month", rf"(?<!\d)(\d{{2}}|\d{{4}})年(?={MONTH}月)", lambda m: year(m[1])),
    rule("month", r"(?<!\d)0([1-9])月", lambda m: month_day(m[1])),
    rule("quarter", r"((?:19|20)\d\d)年?Q([1-4])(?!\d)", lambda m: f"{year(m[1])}第{cardinal(m[2])}季度"),
    rule("before Christ", r"(?<=公元)(前?)(\d{1,4})年", lambda m: m[1] + year(m[2])),
    rule("decade", r"(?<!\d)(\d0)(?:年代|'s|s(?![a-z]))", lambda m: f"{cardinal(m[1])}年代"),
    rule("year", r"(?<!\d)(1[0-9]\d\d|2[01]\d\d|0\d)年(?![来后间内之里前]|多|以)", lambda m: year(m[1])),
    rule("year in figures", r"^(\d\d|\d{4})年$|(?<=[于在自从])(\d\d)年(?=[出毕入建成生结]|$)", lambda m: year(m[1] or m[2])),
    rule("class of a year", r"(?<!\d)(\d\d)(?=[级届后](?:学|毕|的|[生一二三]|$))", lambda m: digits(m[1])),
    rule("time with half", rf"({HOUR}):({SIXTY}|[0-5]\d)(?::({SIXTY}))?{HALF}", lambda m: clock(m[1], m[2], m[3], m[4])),
    rule("hour with half", rf"({HOUR}){HALF}", lambda m: clock(m[1], "00", None, m[2])),
    rule("time", rf"({HOUR}):([0-5]\d)(?::([0-5]\d))?(?:\s?[-~～—至到]+\s?([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?)?(?![\d:])",
         _clocks),
)  # fmt: skip
"""In this order; scores have been read before."""
