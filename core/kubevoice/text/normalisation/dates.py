"""Dates and times of day."""

import re

from kubevoice.text.normalisation.numbers import read_cardinal, read_digits
from kubevoice.text.normalisation.rule import rule

__all__ = ["RULES", "SHORT", "read_clock", "read_date", "read_month_day", "read_year"]

MONTH, DAY = r"(?:0?[1-9]|1[0-2])(?!\d)", r"(?:0?[1-9]|[12]\d|3[01])(?!\d)"
FULL_MONTH = r"(?:0[1-9]|1[0-2])(?!\d)"
FULL_DAY = r"(?:0[1-9]|[12]\d|3[01])(?!\d)"
YEAR = r"(?<![\d.])(?:1[0-9]|20|21)\d\d"
HOUR, SIXTY = r"(?<![\d.:])(?:[01]?\d|2[0-4])", r"[0-5]\d(?![\d:])"
HALVES = {"a": "上午", "p": "下午"}


def read_year(text: str) -> str:
    """Read a year digit by digit: 二零二四年.

    Parameters
    ----------
    text
        Its digits.

    Returns
    -------
    str
        Chinese words.
    """
    return f"{read_digits(text)}年"


def read_month_day(month: str, day: str | None = None, suffix: str = "日") -> str:
    """Read a month, and its day if there is one.

    Parameters
    ----------
    month
        Number of the month.
    day
        Number of the day, if any.
    suffix
        日 or 号.

    Returns
    -------
    str
        Chinese words.
    """
    verbalized = f"{read_cardinal(month.lstrip('0'))}月"
    return verbalized + (f"{read_cardinal(day.lstrip('0'))}{suffix}" if day else "")


def read_date(year_text: str, month: str | None = None, day: str | None = None) -> str:
    """Read a date.

    Parameters
    ----------
    year_text
        Digits of the year.
    month
        Number of the month, if any.
    day
        Number of the day, if any.

    Returns
    -------
    str
        Chinese words.
    """
    return read_year(year_text) + (read_month_day(month, day) if month else "")


def read_clock(hour: str, minute: str, second: str | None = None, half: str | None = None) -> str:
    """Read a time of day: 三点零五分, 十一点, 下午三点三十分.

    Parameters
    ----------
    hour
        Digits of the hour.
    minute
        Digits of the minute.
    second
        Digits of the second, if any.
    half
        "a" for before noon, "p" for after noon; None if the text has neither.

    Returns
    -------
    str
        Chinese words.
    """
    hours = read_cardinal(str(int(hour)))
    verbalized = f"{'两' if hours == '二' else hours}点"
    if int(minute) or second:
        verbalized += f"{'零' if minute[0] == '0' and minute != '00' else ''}{read_cardinal(str(int(minute)))}分"
    if second:
        verbalized += f"{'零' if second[0] == '0' and second != '00' else ''}{read_cardinal(str(int(second)))}秒"
    return HALVES.get((half or " ")[0].lower(), "") + verbalized


def _replace_era(match: re.Match[str]) -> str:
    era = "公元前" if match[3].lower().startswith("b") else "公元"
    return era + (read_date(match[1], match[2]) if match[2] else read_digits(match[1]) + "年")


def _replace_dates(match: re.Match[str]) -> str:
    """Read a date with its year, and a later one with or without."""
    second = read_date(match[5], match[6], match[7]) if match[5] else read_month_day(match[6], match[7])
    return f"{read_date(match[1], match[3], match[4])}到{second}"


def _replace_days(match: re.Match[str]) -> str:
    """Read days of one month: 五月一日到七日."""
    suffix = match[5] or "日"
    year = read_year(match[1]) if match[1] else ""
    last = f"{read_cardinal(match[4].lstrip('0'))}{suffix}"
    return f"{year}{read_month_day(match[2], match[3], suffix)}到{last}"


def _replace_clocks(match: re.Match[str]) -> str:
    first = read_clock(match[1], match[2], match[3])
    return f"{first}到{read_clock(match[4], match[5], match[6])}" if match[4] else first


NOT_AFTER = r"(?<![\d.:%第满过超近约])(?<![达数降升]到)"
"""A number after these is an amount: 年满60后, 达到90后."""
BORN = "后(?![卫腰场面来天续排轮悔果备])"
"""What follows the year of birth of a generation. 后 begins another word in 后卫, 后来."""
PEOPLE = "后(?:[、，。！？；,）)”」’]|$|[们的是宝妈爸辣女男年青小大孩员演歌选新创消用群父母一代干学职和与及]|\\d\\d后)"
"""What follows the rarer 10后, 20后, which are amounts elsewhere."""
TO = r"\s?(?:[-~～—–]{1,2}|[至到])\s?"
UNDATED = r"(?=$|[，。、；,;）)]|放假|期间|举[行办]|休|活动|开[放展]|停[业课电水]|每[天日])"
"""After these the last day of a range needs no 日."""
EVENTS = "(?:特大|大)?(?:晚会|地震|事件|事变|惨案|运动(?![鞋员量])|起义|大促|购物节|空难|爆炸|消费者|国际)"
"""What is named by its date, digit by digit: 三一五晚会."""
HOLIDAYS = "(?:国际)?(?:劳动节|儿童节|建军节|国庆|假期|小?长假|黄金周|放假|节前|节后)"
HALF = r"\s?([ap])\.?m(?:\.|\b)"

SHORT = (
    rule("short date with dots", rf"((?:日期|时间|生日|有效期|出生|签订|截[止至]|生产|制造|发布|拍摄|成立|生|于|自|从|至|(?<!更新|升级)到)(?:[于为是至到]|[:：])?\s?)(\d\d)\.({MONTH})\.({DAY})(?![\d.])",
         lambda m: m[1] + read_date(m[2], m[3], m[4])),
    rule("compact date", rf"((?:日期|时间|生日|有效期|截[止至])(?:[于为是至到]|[:：])?\s?)((?:19|20)\d\d)(0[1-9]|1[0-2])({FULL_DAY})", lambda m: m[1] + read_date(m[2], m[3], m[4])),
)  # fmt: skip
"""Before identifiers, since these look like addresses and serials."""
RULES = (
    rule("era", rf"(?<!\d)(\d{{1,4}})(?:年({MONTH})月|年)?\s?(bc|b\.c\.|bce|ad|a\.d\.)(?![a-z])", _replace_era),
    rule("years", r"(?<!\d)((?:1[5-9]|2[01])\d\d)年?\s?[-~～—至到]+\s?((?:1[5-9]|2[01])\d\d)(?!\d)(年?)", lambda m: f"{read_digits(m[1])}到{read_digits(m[2])}{m[3]}"),
    rule("dates", rf"({YEAR})([/.])({MONTH})\2({DAY}){TO}(?:((?:19|20)\d\d)\2)?({MONTH})\2({DAY})(?![.\d])", _replace_dates),
    rule("dates with hyphens", rf"({YEAR})(-)({MONTH})-({DAY})\s?(?:\s-\s|[~～—–至到])\s?(?:((?:19|20)\d\d)-)?({MONTH})-({DAY})(?![-.\d])", _replace_dates),
    rule("months of years", rf"({YEAR})([./])({MONTH}){TO}({YEAR})\2({MONTH})(?![./\d])", lambda m: f"{read_date(m[1], m[3])}到{read_date(m[4], m[5])}"),
    rule("days of a month", rf"(?<!\d)(?:(\d{{2}}|\d{{4}})年)?({MONTH})月({DAY}){TO}({DAY})(?:(日|号)|{UNDATED})", _replace_days),
    rule("month to month", rf"(?<!\d)({MONTH})月({DAY})\s?[-~～—–]{{1,2}}\s?(?={MONTH}月)", lambda m: f"{read_month_day(m[1], m[2])}到"),
    rule("event", rf"(?<![\d.])(?!(1[12])[.·]\1)({MONTH})[.·]({DAY})(?={EVENTS})", lambda m: read_digits(m[2]) + read_digits(m[3])),
    rule("holiday", rf"(?<![\d.])([568]|10)[.·]1(?={HOLIDAYS})", lambda m: {"5": "五一", "6": "六一", "8": "八一", "10": "十一"}[m[1]]),
    rule("date", rf"({YEAR})([-/.])({MONTH})\2({DAY})(?![.\d])", lambda m: read_date(m[1], m[3], m[4])),
    rule("date with dots", rf"({YEAR})[·・]({MONTH})[·・]({DAY})(?![.\d])", lambda m: read_date(m[1], m[2], m[3])),
    rule("day first", rf"(?<![\d.-])({DAY})([-/.])({MONTH})\2((?:19|20)\d\d)(?![\d-])", lambda m: read_date(m[4], m[3], m[1])),
    rule("month first", rf"(?<![\d.-])({MONTH})([-/.])(1[3-9]|2\d|3[01])\2((?:19|20)\d\d)(?![\d-])", lambda m: read_date(m[4], m[1], m[3])),
    rule("short date", rf"(?<![\d/])(\d\d)/({MONTH})/({DAY})(?![/\d])", lambda m: read_date(m[1], m[2], m[3])),
    rule("month of year", rf"({YEAR})(?:[-/]({MONTH})|\.({FULL_MONTH}))(?![-/.\d])", lambda m: read_date(m[1], m[2] or m[3])),
    rule("year last", rf"(?<!\d)({FULL_MONTH})[-/]((?:19|20)\d\d)(?!\d)", lambda m: read_date(m[2], m[1])),
    rule("month and day", rf"(?<![\d.:/-])(0[1-9]|1[0-2])[-.]({FULL_DAY})(?![-.\d:%])(?=\D*$|[，。,])(?<=0\d[-.]\d\d)",
         lambda m: read_month_day(m[1], m[2])),
    rule("named date", rf"(?<=[期间止至日])([:：是为]?)({MONTH})[-/.]({DAY})(?![-/.\d:])",
         lambda m: m[1] + read_month_day(m[2], m[3])),
    rule("Chinese date", rf"(?<!\d)(?:(\d{{2}}|\d{{4}})年)?({MONTH})月({DAY})(日|号|(?!\d))",
         lambda m: (read_year(m[1]) if m[1] else "") + read_month_day(m[2], m[3], m[4] or "日")),
    rule("months", rf"(?<!\d)({MONTH})(?:月份?)?[-~～—]({MONTH})月", lambda m: f"{read_cardinal(m[1])}到{read_month_day(m[2])}"),
    rule("year and month", rf"(?<!\d)(\d{{2}}|\d{{4}})年(?={MONTH}月)", lambda m: read_year(m[1])),
    rule("month", r"(?<!\d)0([1-9])月", lambda m: read_month_day(m[1])),
    rule("quarter", r"((?:19|20)\d\d)年?Q([1-4])(?!\d)", lambda m: f"{read_year(m[1])}第{read_cardinal(m[2])}季度"),
    rule("before Christ", r"(?<=公元)(前?)(\d{1,4})年", lambda m: m[1] + read_year(m[2])),
    rule("decade", r"(?<!\d)(\d0)(?:年代|'s|s(?![a-z]))", lambda m: f"{read_cardinal(m[1])}年代"),
    rule("year", r"(?<!\d)(1[0-9]\d\d|2[01]\d\d|0\d)年(?![来后间内之里前]|多|以)", lambda m: read_year(m[1])),
    rule("year in figures", r"^(\d\d|\d{4})年$|(?<=[于在自从])(\d\d)年(?=[出毕入建成生结]|$)", lambda m: read_year(m[1] or m[2])),
    rule("generation", rf"{NOT_AFTER}(?:([5-9]\d|0\d)(?={BORN})|([1-4][05])(?={PEOPLE}))", lambda m: read_digits(m[0])),
    rule("generations", rf"{NOT_AFTER}\d\d(?=(?:[、/，,和与及至到~-]\d\d)*[、/，,和与及至到~-][零一二五六七八九]{{2}}后)", lambda m: read_digits(m[0])),
    rule("class of a year", r"(?<!\d)(\d\d)(?=[级届](?:学|毕|的|[生一二三]|$))", lambda m: read_digits(m[1])),
    rule("clock", r"(?<![\d.])([01]?\d|2[0-4])[点时]([0-5]?\d)分(?!之)", lambda m: read_clock(m[1], m[2])),
    rule("time with half", rf"({HOUR}):({SIXTY}|[0-5]\d)(?::({SIXTY}))?{HALF}", lambda m: read_clock(m[1], m[2], m[3], m[4])),
    rule("hour with half", rf"({HOUR}){HALF}", lambda m: read_clock(m[1], "00", None, m[2])),
    rule("time", rf"({HOUR}):([0-5]\d)(?::([0-5]\d))?(?:\s?[-~～—至到]+\s?([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?)?(?![\d:])",
         _replace_clocks),
)  # fmt: skip
"""The order matters. Scores are replaced before."""
