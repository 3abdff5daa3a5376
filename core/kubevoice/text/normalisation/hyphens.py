"""Hyphens: within the name of a thing, as 到 between dates, days and times. What is left is a range or a minus."""

import re

from kubevoice.text.normalisation.letters import read_beside_letters
from kubevoice.text.normalisation.numbers import read_cardinal, read_digits
from kubevoice.text.normalisation.rule import rule

__all__ = ["NAMES", "RANGES"]

AMOUNT = (
    "为是到至达降跌升涨约近于温差率值得负加减乘除以和或与及比在从由零下低高均数幅度利亏存额计净拔轴距偏指标按取设于"
)
"""After these characters a hyphen before a number is a minus: 气温-16, 涨幅-3."""
MEASURE = r"[.,]\d|\s?(?:度|℃|°|%|‰|摄氏|华氏|元|块|万|亿|千|百|个百分点|个点|分(?!队|册|部)|米|吨|克|毫|厘|公里|倍|到|至|~|～)"
"""A number before these is an amount: 今天-5℃."""
DAYS = "周|星期|礼拜"
MOMENT = (
    "(?:上|下|中)午|早上|早晨|清晨|傍晚|晚上?|夜里|凌晨|半夜|零点|次日|翌日|第二天|当[天日晚]|今[天日晚]|明[天日晚]|后天|周|星期|礼拜|"
    "农历|正月|腊月|春节|国庆|元旦|月底|年底|月末|至今"
)


def _read_model(match: re.Match[str]) -> str:
    """Read the name of a model with a hyphen: i7-13700K, 波音737-800."""
    letters, first, series, second = match.groups()
    is_number = len(second) < 3 or (second.endswith("00") and len(second) == 3) or second == "1000"
    second = read_cardinal(second) if is_number else read_digits(second)
    return f"{letters}{read_beside_letters(first)}{series}{second}"


def _read_between(match: re.Match[str]) -> str:
    return f"{match[1]}到"


NAMES = (
    rule("model", r"(?<![\dA-Za-z.])([A-Z]{1,6})(\d{1,4})([A-Z]{0,2})[-–](\d{1,5})(?=[A-Z]{0,3}(?![\dA-Z.]))(?![层号栋座区])", _read_model),
    rule("airliner", r"()(?<![\d.\-–])(7\d7|A3\d0)()[-–](\d{3}|\d{1,2}(?!\d))(?=[A-Z]{0,2}(?![\dA-Z.]))(?=(?:型|客机|飞机|系列|MAX|货机|，|。|、|的|和|与|$|[A-Z]|\s))", _read_model),
    rule("airliner by number", r"(?<=波音|空客)\s?\d{3}(?!\d)|(?<![\d.\-–])7\d7(?=\s?MAX|客机|飞机|货机|机型)", lambda m: read_digits(m[0])),
    rule("name in letters", r"(?<=[A-Za-z])[-–](?=\d+\.\d)", lambda _match: ""),
    rule("name in Chinese", rf"(?<=[一-鿿])(?<![{AMOUNT}])(?<!\d[年月日号时点分秒元岁楼层米千克吨个])[-–](?=\d{{1,4}}[A-Z]{{0,3}}(?![\dA-Z]|{MEASURE}))", lambda _match: ""),
)  # fmt: skip
RANGES = (
    rule("between days", rf"((?:{DAYS})[一二三四五六日天末])\s?[-~～—–]{{1,2}}\s?(?=(?:{DAYS})?[一二三四五六日天末])", _read_between),
    rule("between moments", rf"((?<=[\d一二三四五六七八九十半整])(?:[年月日号时点分半]|点半)|年初|月初)\s?(?:[~～]|[-—–])\s?(?=\d|[一二三四五六七八九十]{{1,3}}[月日号点时]|{MOMENT})", _read_between),
    rule("between relative days", rf"([今明昨前]天)\s?(?:[~～]|[-—–])\s?(?={MOMENT})", _read_between),
    rule("between measures", r"((?<=\d)([一-鿿]{1,2}))\s?(?:[~～]|[-—–])\s?(?=\d+(?:\.\d+)?\2)", _read_between),
    rule("between first days", r"((?:初|小|大|高)[一二三四五六七八九十]{1,2}|[一二三四五六七八九十]{1,2}(?:年级|月份?|楼|层|号|日|岁|级|等))\s?[-~～—–]\s?(?=(?:初|小|大|高)?[一二三四五六七八九十]{1,2}(?:年级|月|楼|层|号|日|岁|级|等)?)", _read_between),
    rule("between letters", r"(?<![A-Za-z\d])(A|a)[-~～—–](?=[B-Z](?![A-Za-z\d]))|(?<![A-Z\d])([A-Z])(\d{1,3})[-~～—–](?=\2\d{1,3}(?![\dA-Z]))", lambda m: f"{m[0][:-1]}到"),
)  # fmt: skip
