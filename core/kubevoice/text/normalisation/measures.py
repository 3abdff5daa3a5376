"""Quantities: money, percentages, units of measure and Chinese measure words."""

import re
from decimal import Decimal

from kubevoice.text.normalisation.numbers import NUMBER, SIGNED, read_amount, read_digits, read_price
from kubevoice.text.normalisation.rule import rule
from kubevoice.text.normalisation.units import UNIT, read_unit

__all__ = ["COUNTED", "CURRENCIES", "MANY", "RULES", "read_money", "read_percent"]

CURRENCIES = {
    "$": "美元", "US$": "美元", "USD": "美元", "HK$": "港元", "HKD": "港元", "NT$": "新台币", "TWD": "新台币",
    "A$": "澳元", "AUD": "澳元", "C$": "加元", "CAD": "加元", "S$": "新加坡元", "SGD": "新加坡元", "¥": "元", "￥": "元", "CN¥": "元", "JP¥": "日元",
    "AU$": "澳元", "CA$": "加元", "NZ$": "新西兰元", "R$": "雷亚尔",
    "CNY": "元", "RMB": "元", "JPY": "日元", "€": "欧元", "EUR": "欧元", "£": "英镑", "GBP": "英镑", "₩": "韩元",
    "KRW": "韩元", "₽": "卢布", "RUB": "卢布", "₹": "卢比", "INR": "卢比", "฿": "泰铢", "THB": "泰铢", "CHF": "瑞士法郎",
    "₿": "比特币", "BTC": "比特币", "MOP": "澳门元", "NZD": "新西兰元", "VND": "越南盾", "円": "日元",
}  # fmt: skip
SECOND = "(?:[″\"]|''|′′)"
"""The sign of a second or an inch; U+2033 becomes two of U+2032."""
EACH = "月|年|天|日|小时|分钟?|秒|次|人|斤|公斤|千克|克|吨|米|平方米|平米|平|升|个|件|台|瓶|盒|股|晚|间|位|亩|公里|千米|度|份|张|套|户|杯|节|课时|条|箱|袋|包"
PERIODS = {"d": "天", "w": "周", "m": "月", "y": "年"}
ROADS = {"km": "公里", "KM": "公里"}
"""A unit whose name is another one after 每: 每公里."""
MANY = "百万|千万|十亿|百亿|千亿|万亿|[十百千万亿兆]"
WESTERN = {"k": 3, "thousand": 3, "m": 6, "mn": 6, "million": 6, "b": 9, "bn": 9, "billion": 9, "t": 12, "trillion": 12}
"""Powers of ten of the abbreviations that follow an amount of money."""
CURRENCY = "|".join(re.escape(name) for name in sorted(CURRENCIES, key=len, reverse=True))
TO = r"\s?(?:[~～]|[-—–]+)\s?"
SCALE = r"(?-i:[KMBTk]|[bm]n)|thousand|million|billion|trillion"
POWER = re.compile(
    "功率|瓦|快充|充电|闪充|直充|灯|电源|插座|电器|音箱|电机|额定|显卡|功耗|适配|风筒|吹风|加热|取暖|光伏|逆变|微波|热水|[Ww]att"
)
"""Beside these a w after a number is a watt."""
FOLLOWERS = re.compile(
    r"\s?的?(?:粉丝|播放|阅读|点赞|点击|浏览|观看|收藏|用户|会员|[年月]薪|现金|存款|预算|彩礼|首付|转账|工资|赔偿|贷款|欠款|豪车|车(?![灯载充])|房子?)|"
    r"\s?(?:块|元|人(?!机|体)|字|公里|像素|次|条|多?人在看)"
)
PRICED = re.compile(
    "(?:价[格值]?|房子|[婚新旧住]房|学区房|别墅|豪宅|公寓|豪车|跑车|预算|首付|存款|[贷欠借付罚捐补]款|薪|月入|年入|收入|身价|身家|资产|净值|彩礼|奖金|利润|营收|流水|成本|投资|融资|销量|播放量|阅读量|粉丝|"
    "(?:年|月|天)赚|[花赚赔欠亏借还卖捐罚付存贷][了出掉]|亏损|收到|转账)"
    "(?:高达|超过|达到|大约|将近|到|[约近超达为是才共有])?[:：]?$"
)
"""Between these a W after a number is 万, and no watt."""
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


def _replace_percents(match: re.Match[str]) -> str:
    name = "千分之" if match[0][-1] == "‰" else "百分之"
    return f"{read_percent(match[1], name)}到{read_percent(match[2], name)}"


def _scale(number: str, western: str) -> str:
    """Return the digits of an amount that is written with an abbreviation of a power of ten: 3.5 and M."""
    scaled = Decimal(number.replace(",", "")).scaleb(WESTERN[western.lower()])
    return f"{scaled:f}".rstrip("0").rstrip(".") if "." in f"{scaled:f}" else f"{scaled:f}"


def _replace_money(match: re.Match[str]) -> str:
    sign, currency, inner_sign, first, second, many, western = match.groups()
    name = CURRENCIES[currency if currency in CURRENCIES else currency.upper()]
    many = many or ""
    amounts = [_scale(amount, western) if western else amount for amount in (first, second) if amount]
    # A word such as 万 is said twice, as it belongs to both.
    return ("负" if sign or inner_sign else "") + f"{many}到".join(map(read_price, amounts)) + many + name


def _replace_money_after(match: re.Match[str]) -> str:
    number, western, many, currency = match.groups()
    return read_money(_scale(number, western) if western else number, currency, many or "")


def _replace_angle(match: re.Match[str]) -> str:
    return f"{read_amount(match[1])}度{read_amount(match[2])}分" + (f"{read_amount(match[3])}秒" if match[3] else "")


def _replace_feet(match: re.Match[str]) -> str:
    before, feet, inches = match.groups()[:3] if match[2] else match.groups()[3:]
    return f"{before}{read_amount(feet)}英尺{read_amount(inches)}英寸"


def _replace_minutes(match: re.Match[str]) -> str:
    hours, minutes, seconds, hundredths = match.groups()
    hours = f"{read_amount(hours)}小时" if hours else ""
    return f"{hours}{read_amount(minutes)}分{read_amount(seconds)}秒{read_digits(hundredths or '')}"


def _replace_match_minute(match: re.Match[str]) -> str:
    added = f"加{read_amount(match[2])}" if match[2] else ""
    return f"第{read_amount(match[1])}{added}分钟"


def _replace_power(match: re.Match[str]) -> str:
    number, power, unit = match.groups()
    return (f"{read_amount(number)}乘" if number else "") + f"十的{read_amount(power)}次方{read_unit(unit)}"


def _replace_units(match: re.Match[str]) -> str:
    first, repeated, second, name = match.groups()
    verbalized = read_unit(name)
    if not second:
        return read_amount(first) + verbalized
    return f"{read_amount(first)}{read_unit(repeated) if repeated else ''}到{read_amount(second)}{verbalized}"


def _read_volts(match: re.Match[str]) -> str:
    return f"{read_amount(match[1])}伏{read_amount(match[2])}安"


def _replace_wan(match: re.Match[str]) -> str:
    """Read w as 万, as people do who type fast; where the text is about power it is a watt, as W is but beside money."""
    before = match.string[: match.start()].rstrip()
    is_power = POWER.match(match.string, match.end() + match.string.startswith("的", match.end()))
    is_many = match[3] or FOLLOWERS.match(match.string, match.end()) or (PRICED.search(before) and not is_power)
    if match[2] == "W" and not is_many:
        return match[0]
    if match[2] == "w" and not match[3] and POWER.search(match.string, max(0, match.start() - 12), match.end() + 8):
        return f"{read_amount(match[1])}瓦"
    return f"{read_amount(match[1])}万{'加' if match[3] else ''}"


RULES = (
    rule("percents", rf"({SIGNED})[%‰]?{TO}({NUMBER})[%‰]", _replace_percents),
    rule("percent", rf"(负?{SIGNED})%", lambda m: read_percent(m[1])),
    rule("permille", rf"(负?{SIGNED})‰", lambda m: read_percent(m[1], "千分之")),
    rule("money", rf"(?<![A-Z])(?:(?<!\d)(?<!\d\s)([-−]))?({CURRENCY})\s?([-−])?({NUMBER})(?:{TO}(?:{CURRENCY})?({NUMBER}))?\s?(?:({MANY})|({SCALE})(?![A-Za-z]))?(?:{CURRENCY}|元(?!/))?", _replace_money),
    rule("money after", rf"({NUMBER})\s?(?:({SCALE})\s?)?({MANY})?\s?({CURRENCY})(?![A-Z])", _replace_money_after),
    rule("money with a word", rf"({NUMBER})\s?({SCALE})(?=美元|美金|欧元|英镑|日元|港元|港币|人民币|元)", lambda m: read_price(_scale(m[1], m[2]))),
    rule("price", rf"({NUMBER})(?=\s?(?:元|块|美元|欧元|英镑|日元|港元|港币|人民币))", lambda m: read_price(m[1]) if "." in m[1] else m[0]),
    rule("feet and inches", rf"((?:身高|个头|个子)[^\d，。；]{{0,4}})([3-8])[′'](\d|1[01])(?:{SECOND}|(?!\d))|()(?<!\d)([3-8])[′'](\d|1[01]){SECOND}(?=的?(?:身高|个头|个子))",
         _replace_feet),
    rule("minutes and seconds", rf"(?<![\d.°:])(?:(\d{{1,2}})[:h])?(\d{{1,3}})[′'](\d{{1,2}}){SECOND}(\d{{1,3}})?(?!\d)", _replace_minutes),
    rule("minute of a match", r"(?<![\d.°'])第?(\d{1,3})(?:\+(\d{1,2}))?[′'](?=\s?(?:[一-鿿]{0,6}?(?:破门|进球|绝杀|扳平|点球|头球|射门|[红黄]牌|[换罚][上下]|补射|乌龙)))",
         _replace_match_minute),
    rule("seconds", r"(?<=[跑绩用时为以是录米])(\d{1,2})\"(\d{2})(?![\d\"])", lambda m: f"{read_amount(m[1])}秒{read_digits(m[2])}"),
    rule("inches", rf"({NUMBER})\"(?=的?(?:显示器|显示屏|屏幕?|电视|平板|笔记本|披萨|蛋糕|轮毂|水管|管道|喇叭|单车))|(?<=屏幕)({NUMBER})\"(?=[，。！？]|$)|({NUMBER})′′",
         lambda m: f"{read_amount(m[1] or m[2] or m[3])}英寸"),
    rule("angle", rf"({NUMBER})°\s?(\d{{1,2}})[′'](?:\s?(\d{{1,2}}(?:\.\d+)?)[″\"])?", _replace_angle),
    rule("volts and amperes", rf"({NUMBER})V[/\s]?({NUMBER})A(?![A-Za-z])", _read_volts),
    rule("w for 万", rf"(?<![A-Z\d.-])({NUMBER})(w)(\+)?(?![A-Za-z\d])", _replace_wan),
    rule("power of ten", rf"(?:({NUMBER})\s?[×x*·]\s?)?(?<!\d)(?<![\d.])10\^([-−]?\d{{1,3}})\s?({UNIT})", _replace_power),
    rule("thousands", rf"({NUMBER})\s?(k){TO}({NUMBER})\s?(?=k(?![A-Za-z]))", lambda m: f"{read_amount(m[1])}{m[2]}到{read_amount(m[3])}"),
    rule("per number", rf"(?<=[元块角分])/(?={NUMBER}\s?(?:{COUNTED}|{UNIT}))", lambda _match: "每"),
    rule("units", rf"({SIGNED})(?:\s?({UNIT})?{TO}([-−]?{NUMBER}))?\s?({UNIT})", _replace_units),
    rule("unit alone", rf"(单位(?:一般|通常|都|分别)?[是为用:：(（]*\s?)({UNIT})|(?<![A-Za-z\d])(?:({UNIT})(?=\s?(?:为|作|作为|的?)单位)|(?=[A-Za-zμ°]{{2}}|[A-Za-z]/)({UNIT})(?=\s?来?(?:计量|计价|计费|表示|衡量)))",
         lambda m: (m[1] or "") + read_unit(m[2] or m[3] or m[4])),
    rule("compound unit", rf"(?<![A-Za-z\d./·])(?=[A-Za-zμ]{{1,5}}[/·][A-Za-z])({UNIT})(?![/·])", lambda m: read_unit(m[1])),
    rule("per unit", rf"(?<=[元块角分秒钱万亿千克次片个下拍步])/({UNIT})", lambda m: "每" + ROADS.get(m[1], read_unit(m[1]))),
    rule("per day", r"(?<=[元克升万亿千次片粒k])/(d|day|week|month|year)(?![A-Za-z])", lambda m: "每" + PERIODS[m[1][0].lower()]),
    rule("per", rf"(?<=[元块角分钱次人米斤克吨升万亿千k片粒滴下拍步转件])/({EACH})(?:[·/]({EACH}))?", lambda m: "每" + m[1] + (f"每{m[2]}" if m[2] else "")),
    rule("a price of each", rf"({NUMBER})/(月|年|天|晚|小时|人|次|位|份|斤)(?!\d|[一-鿿]*[/\d])", lambda m: f"{read_amount(m[1])}每{m[2]}"),
    rule("two", rf"(?<![\d.第/,A-Za-z])2(?={COUNTED})", lambda _match: "两"),
)  # fmt: skip
