"""Quantities: money, percentages, units of measure and Chinese measure words."""

import re

from kubevoice.text.normalisation.numbers import NUMBER, SIGNED, read_amount, read_price
from kubevoice.text.normalisation.rule import rule

__all__ = ["CURRENCIES", "RULES", "UNITS", "read_money", "read_percent"]

CURRENCIES = {
    "$": "美元", "US$": "美元", "USD": "美元", "HK$": "港元", "HKD": "港元", "NT$": "新台币", "TWD": "新台币",
    "A$": "澳元", "AUD": "澳元", "C$": "加元", "CAD": "加元", "S$": "新加坡元", "SGD": "新加坡元", "¥": "元", "￥": "元",
    "CNY": "元", "RMB": "元", "JPY": "日元", "€": "欧元", "EUR": "欧元", "£": "英镑", "GBP": "英镑", "₩": "韩元",
    "KRW": "韩元", "₽": "卢布", "RUB": "卢布", "₹": "卢比", "INR": "卢比", "฿": "泰铢", "THB": "泰铢", "CHF": "瑞士法郎",
    "₿": "比特币", "BTC": "比特币", "MOP": "澳门元", "NZD": "新西兰元", "VND": "越南盾",
}  # fmt: skip
UNITS = {
    "km/h": "千米每小时", "km²": "平方千米", "km2": "平方千米", "km": "千米", "m/s": "米每秒", "m/s²": "米每二次方秒",
    "m²": "平方米", "m2": "平方米", "m^2": "平方米", "m³": "立方米", "m3": "立方米", "m^3": "立方米", "dm": "分米",
    "cm²": "平方厘米", "cm2": "平方厘米", "cm³": "立方厘米", "cm3": "立方厘米", "cm": "厘米", "mm²": "平方毫米",
    "mm2": "平方毫米", "mm": "毫米", "μm": "微米", "um": "微米", "nm": "纳米", "m": "米", "kg": "千克", "mg": "毫克",
    "μg": "微克", "ug": "微克", "g": "克", "t": "吨", "lb": "磅", "lbs": "磅", "oz": "盎司", "L": "升", "ml": "毫升",
    "dl": "分升", "cc": "毫升", "h": "小时", "hr": "小时", "hrs": "小时", "min": "分钟", "s": "秒", "sec": "秒",
    "ms": "毫秒", "μs": "微秒", "us": "微秒", "ns": "纳秒", "℃": "摄氏度", "°C": "摄氏度", "℉": "华氏度", "°F": "华氏度",
    "°": "度", "Hz": "赫兹", "kHz": "千赫兹", "MHz": "兆赫兹", "GHz": "吉赫兹", "W": "瓦", "kW": "千瓦", "MW": "兆瓦",
    "GW": "吉瓦", "kWh": "千瓦时", "kW·h": "千瓦时", "V": "伏", "kV": "千伏", "mV": "毫伏", "mA": "毫安",
    "mAh": "毫安时", "Ω": "欧姆", "kΩ": "千欧姆", "kJ": "千焦", "cal": "卡", "kcal": "千卡",
    "Pa": "帕", "kPa": "千帕", "MPa": "兆帕", "hPa": "百帕", "mmHg": "毫米汞柱", "bar": "巴", "dB": "分贝", "bit": "比特",
    "KB": "千字节", "MB": "兆字节", "GB": "吉字节", "TB": "太字节", "PB": "拍字节", "kbps": "千比特每秒",
    "Mbps": "兆比特每秒", "Gbps": "吉比特每秒", "MB/s": "兆字节每秒", "fps": "帧每秒", "rpm": "转每分钟",
    "mph": "英里每小时", "mol": "摩尔", "mmol/L": "毫摩尔每升", "mg/L": "毫克每升", "mg/dL": "毫克每分升",
    "μg/m³": "微克每立方米", "g/cm³": "克每立方厘米", "kg/m³": "千克每立方米", "ha": "公顷", "hm²": "公顷", "ft": "英尺",
    "inch": "英寸", "mile": "英里", "px": "像素", "dpi": "点每英寸", "lm": "流明", "lx": "勒克斯",
    "rad": "弧度",
}  # fmt: skip
LOOSE = {name.lower(): verbalized for name, verbalized in UNITS.items() if len(name) > 1}
"""For units written in the wrong case: KG, Km."""
MANY = "百万|千万|十亿|百亿|千亿|万亿|[十百千万亿兆]"
CURRENCY = "|".join(re.escape(name) for name in sorted(CURRENCIES, key=len, reverse=True))
TO = r"\s?[-~～—–]+\s?"
COUNTED = (
    "个|只|条|张|本|支|枝|把|件|位|名|头|匹|辆|台|座|栋|间|家|所|棵|朵|颗|粒|块|片|根|双|对|副|套|份|封|首|句|段|篇|页(?!码)|场|次|回|遍|趟|"
    "天|周|年(?!级)|岁|小时|分钟|秒|点(?!\\d)|元|角|毛|块|美元|欧元|斤|公斤|千克|克|吨|米|公里|千米|厘米|毫米|平方米|平米|升|毫升|度|倍|成|"
    "杯|瓶|盒|箱|袋|包|桶|碗|盘|口|扇|顶|艘|架|门|项|种|类|样|批|群|排|步|层|声|眼|人|代|届(?!生)|万|千|亿|百万|千万|者|端|侧|边|国|校|院|队|地|党|大"
)


def read_percent(text: str, name: str = "百分之") -> str:
    """Read a percentage: 百分之三十, 负百分之五.

    Parameters
    ----------
    text
        A number that may have a sign, without the percent sign.
    name
        百分之 or 千分之.

    Returns
    -------
    str
        Chinese words.
    """
    sign = "负" if text[0] in "-−负" else ""
    return sign + name + read_amount(text.lstrip("-−负+"))


def read_money(number: str, currency: str, many: str = "") -> str:
    """Read an amount of money.

    Parameters
    ----------
    number
        The number.
    currency
        Symbol or code of the currency, a key of CURRENCIES in either case.
    many
        A word such as 万 between number and currency, if any.

    Returns
    -------
    str
        Chinese words.
    """
    return read_price(number) + many + CURRENCIES[currency if currency in CURRENCIES else currency.upper()]


def read_unit(name: str) -> str:
    """Read a unit of measure.

    Parameters
    ----------
    name
        A key of UNITS; other capitals are accepted where they are unambiguous.

    Returns
    -------
    str
        Chinese words.

    Raises
    ------
    KeyError
        If there is no such unit.
    """
    return UNITS.get(name) or LOOSE[name.lower()]


def _replace_percents(match: re.Match[str]) -> str:
    name = "千分之" if match[0][-1] == "‰" else "百分之"
    return f"{read_percent(match[1], name)}到{read_percent(match[2], name)}"


def _replace_money(match: re.Match[str]) -> str:
    currency, first, second, many = match.groups()
    name = CURRENCIES[currency if currency in CURRENCIES else currency.upper()]
    many = many or ""
    return (f"{read_price(first)}{many}到{read_price(second)}" if second else read_price(first)) + many + name


def _replace_money_after(match: re.Match[str]) -> str:
    currency = match[0][match.end(1) - match.start() :].strip().removeprefix(match[2] or "").strip()
    return read_money(match[1], currency, match[2] or "")


def _replace_angle(match: re.Match[str]) -> str:
    return f"{read_amount(match[1])}度{read_amount(match[2])}分" + (f"{read_amount(match[3])}秒" if match[3] else "")


def _replace_unit(match: re.Match[str]) -> str:
    first, second, name = match.groups()
    verbalized = read_unit(name)
    return (f"{read_amount(first)}到{read_amount(second)}" if second else read_amount(first)) + verbalized


EXACT = "|".join(re.escape(name) for name in sorted(UNITS, key=len, reverse=True))
ANY_CASE = "|".join(re.escape(name) for name in sorted(LOOSE, key=len, reverse=True))

RULES = (
    rule("percents", rf"({SIGNED})[%‰]?{TO}({NUMBER})[%‰]", _replace_percents),
    rule("percent", rf"(负?{SIGNED})%", lambda m: read_percent(m[1])),
    rule("permille", rf"(负?{SIGNED})‰", lambda m: read_percent(m[1], "千分之")),
    rule("money", rf"(?<![A-Z])({CURRENCY})\s?({NUMBER})(?:{TO}(?:{CURRENCY})?({NUMBER}))?\s?({MANY})?(?:{CURRENCY}|元(?!/))?", _replace_money),
    rule("money after", rf"({NUMBER})\s?({MANY})?\s?(?:{CURRENCY})(?![A-Z])", _replace_money_after),
    rule("price", rf"({NUMBER})(?=\s?(?:元|块|美元|欧元|英镑|日元|港元|港币|人民币))", lambda m: read_price(m[1]) if "." in m[1] else m[0]),
    rule("angle", rf"({NUMBER})°\s?(\d{{1,2}})[′'](?:\s?(\d{{1,2}}(?:\.\d+)?)[″\"])?", _replace_angle),
    rule("units", rf"({SIGNED})(?:{TO}({NUMBER}))?\s?((?-i:{EXACT})|{ANY_CASE})(?![A-Za-z²³])", _replace_unit),
    rule("per", r"(?<=[元块角分钱次人米斤克吨升])/(月|年|天|日|小时|分钟?|秒|次|人|斤|公斤|千克|克|吨|米|平方米|平米|升|个|件|台|瓶|盒|股|晚|间|位|亩|公里|千米)",
         lambda m: "每" + m[1]),
    rule("two", rf"(?<![\d.第/,])2(?={COUNTED})", lambda _match: "两"),
)  # fmt: skip
