"""Numbers that are names: telephones, serials, rooms, plates, e-mail and web addresses."""

import re

from kubevoice.text.normalisation.measures import COUNTED
from kubevoice.text.normalisation.numbers import read_cardinal, read_digits
from kubevoice.text.normalisation.rule import rule

__all__ = ["RULES", "spell"]

NAMED = (
    "拨打|拨|致电|尾号|号码|编号|证号|学号|工号|房号|单号|账号|帐号|卡号|税号|护照号|会议号|会员号|车牌号|门牌号|密码|验证码|邮编|邮政编码|"
    "代码|序列号|型号|分辨率|批号|口令|编码|群号|流水号|档案号|取件码|提取码|邀请码|兑换码|激活码|取餐码|取票码|取货码|校验码|识别码|付款码|IMEI"
)
"""Before these a number is read digit by digit, whatever its size."""
THINGS = (
    "电话|手机|热线|传真|车牌|房间|订单|QQ群?|ID|代号|门牌|航班|车次|分机|总机|频道|工单|快递|运单|账户|帐户|身份证|护照|微信群?|会议|"
    "银行卡|信用卡|储蓄卡|会员卡|社保卡|公积金"
)
"""Before these a number may be a count as well: 订单 1200 个."""
COUNT = (
    r"\s?(?:[元块万亿千百个人%年月多余几件单部条间张次份名家只起笔台套箱包米位封种天秒](?!元素|体户|级)|左右|上下|以[上下内]|小时|分钟|公里|"
    r"美元|英镑|欧元|港元|日元)"
)
"""What follows a count or an amount of money, but no number that is a name."""
DIALLED = "电话|手机|热线|传真|拨打|拨|致电|分机|总机|客服"
"""Beside these 1 is read 幺."""
SERVICES = r"1(?:1[0249]|2[0-2])|911|999|12[1-3]\d\d|9[56]\d{3,4}|100(?:00|01|10|86)"
"""Numbers of public services: police, ambulances, help lines, banks."""
AMOUNT = rf"\s?(?:{COUNTED}|[分元米折余多%度月日号年.\d])"
"""A service's number before these is an amount: 打120分."""
LONGEST_RANK = 4
"""Digits of a number after No.; a longer one is a serial number."""
IS = r"(?:号码?|为|是|[:：\s]){0,3}"
"""What stands between the name and its number."""
PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领"
SIGNS = {
    ".": "点", "/": "斜杠", ":": "冒号", "-": "杠", "_": "下划线", "@": "艾特", "?": "问号", "=": "等于", "&": "和",
    "#": "井号", "%": "百分号", "~": "波浪号", "+": "加",
}  # fmt: skip


def spell(text: str) -> str:
    """Read an address: letters as they are, digits one by one, signs by their names.

    Parameters
    ----------
    text
        The address.

    Returns
    -------
    str
        Chinese words and letters.
    """
    return "".join(read_digits(c) if c in "0123456789" else SIGNS.get(c, c) for c in text)


def _read_telephone(match: re.Match[str]) -> str:
    return read_digits(match[0], "幺")


def _replace_all_digits(match: re.Match[str]) -> str:
    return "".join(read_digits(c, "幺") if c in "0123456789" else "" if c in "- ()（）" else c for c in match[0])


def _replace_with_country(match: re.Match[str]) -> str:
    return ("加" if match[1].startswith("+") else "") + read_digits(match[0], "幺")


def _replace_numero(match: re.Match[str]) -> str:
    number = match[1]
    serial = len(number) > LONGEST_RANK or number.startswith("0")
    return "第" + (read_digits(number) if serial else read_cardinal(number))


def _replace_named(match: re.Match[str]) -> str:
    one = "幺" if re.match(DIALLED, match[0], re.IGNORECASE) else "一"
    return re.sub(r"\d+|-", lambda part: read_digits(part[0], one), match[0])


def _replace_url(match: re.Match[str]) -> str:
    return spell(re.sub(r"^https?://", "", match[0]).rstrip("/"))


def _read_parts(number: str) -> str:
    """Read the parts of a version: 十七点四点一."""
    return "点".join(read_cardinal(part) if len(part) <= 2 else read_digits(part) for part in number.split("."))


def _replace_version(match: re.Match[str]) -> str:
    name = match[1]
    if name in "vV":
        before, after = match.string[: match.start()].rstrip(" :为是"), match.string[match.end() :].lstrip()
        name = "V" if before.endswith(("版本", "版本号")) or after.startswith("版") else "版本"
    return name + _read_parts(match[2])


TLDS = "com|cn|org|net|edu|gov|io|ai|dev|co|info|top|xyz|tv|cc|me|app|hk|tw|jp|uk|de"

RULES = (
    rule("e-mail", r"(?<![\w.])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}", lambda m: spell(m[0])),
    rule("URL", rf"https?://[\w./:?=&%#~+@-]{{1,300}}|www\.[\w./:?=&%#~+@-]{{1,300}}|(?<![\w.])(?:[a-z][\w-]{{0,62}}\.){{1,4}}(?:{TLDS})(?:/[\w./?=&%#~+-]{{0,200}})?(?![\w.])",
         _replace_url),
    rule("IP address", r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}|:\d{2,5})?(?![\d.])", lambda m: spell(m[0])),
    rule("name with underscores", r"(?<![\w.@])(?=[A-Za-z0-9]*_)(?=\w*[A-Za-z])[A-Za-z0-9_]{3,64}(?![\w@])", lambda m: spell(m[0])),
    rule("version", r"(?<![a-z])(v|版本|version\s?|iOS\s?|Android\s?|Python\s?)(\d{1,4}(?:\.\d{1,6}){1,3})(?!\d|\.\d)", _replace_version),
    rule("three parts", r"(?<![\d.])(\d{1,3}(?:\.\d{1,6}){2,3})(?!\d|\.\d)", lambda m: _read_parts(m[0])),
    rule("mobile", r"(?:(?<!\d)(\+?86)[- ]?)(1[3-9]\d)[- ]?(\d{4})[- ]?(\d{4})(?!\d)", _replace_with_country),
    rule("mobile in China", r"(?<![\d.])1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?![\d.])", _read_telephone),
    rule("landline", r"(?<!\d)(?<!\d[- ])(?:\+?86[- ]?)?[(（]?0\d{2,3}[)）]?[- ]\d{3,4}[- ]?\d{4}(?:-\d{1,5})?(?![- ]?\d)|(?<!\d)[(（]0\d{2,3}[)）]\d{3,4}[- ]?\d{4}(?!\d)|"
         r"(?<!\d)\+?86[- ](?:10|2\d|[3-9]\d\d)[- ]\d{3,4}[- ]?\d{4}(?!\d)|(?<!\d)0\d{9,11}(?!\d)", _replace_all_digits),
    rule("service number", r"(?<!\d)[48]00[- ]?\d{3}[- ]?\d{4}(?!\d)|(?<!\d)[48]00-\d{4}-\d{3}(?!\d)", _read_telephone),
    rule("dialled service", rf"(?:(?<=拨打)|(?<=致电)|(?<=呼叫)|(?<=[拨打电])|(?<=打[了过个])|(?<=拨[了通出]))(?:{SERVICES})(?!{AMOUNT})", _read_telephone),
    rule("named service", rf"(?<![\d.·A-Za-z])(?:{SERVICES})(?=[”\"]?(?:政务|市民|消防|交管|便民)?(?:急救|报警|热线|客服|电话|服务|平台|接警|指挥中心|救护|火警|查号|调度|民警|出警|警情|投诉|举报|消防))", _read_telephone),
    rule("service", rf"(?<![\d.·A-Za-z])(?:12306|12315|12345|12333|12366|12388|12320|12348|12355|12123|96110|10086|10010)(?!{AMOUNT})", _read_telephone),
    rule("identity card", r"(?<!\d)\d{17}[\dX](?!\d)|(?<!\d)\d{16,19}(?!\d)", lambda m: spell(m[0])),
    rule("named groups", rf"(?:{NAMED}|{THINGS}){IS}(?:[A-Z]{{1,4}} )?\d{{2,8}}+(?: \d{{1,8}}+(?!\.\d|{COUNT})(?:X\b)?){{1,6}}+", _replace_named),
    rule("groups", r"(?<![\d.] )(?<![\d.])\d{4}(?: \d{4}){2,4}(?: \d{1,3})?(?![ ]?[\d.])", _replace_named),
    rule("named", rf"(?:{NAMED}){IS}[\"“]?[A-Z]{{0,4}}[- ]?\d{{3,}}(?:\s?[-x*×]\s?\d+)*(?![\d.]*[元块万亿个人%年月])", _replace_named),
    rule("named thing", rf"(?:{THINGS}){IS}[\"“]?[A-Z]{{0,4}}[- ]?(?:\d{{3,5}}+(?!\d|{COUNT})|\d{{6,}}+(?!\s?[元块万亿个人%年月]))(?!\d|\.\d| \d{{3}}(?!\d))(?:[-x*×]\d+)*",
         _replace_named),
    rule("quoted number", r"(?<=[“\"‘])\d{2,}(?=[”\"’]号)", lambda m: read_digits(m[0])),
    rule("numero", r"(?:第\s?)?(?<![A-Z.])No\.\s?(\d+)(?![\d.]*\d)", _replace_numero),
    rule("plate", rf"([{PROVINCES}])([A-Z])[·• ]?(?=[A-Z\d]*\d)([A-Z\d]{{5,6}})(?![A-Z\d])", lambda m: m[1] + m[2].upper() + spell(m[3].upper())),
    rule("flight or train", r"(?<![A-Z\d])([A-Z]{1,2}|[A-Z]\d|\d[A-Z])(\d{3,4})(?=次|航班|列车|号|$|[，。、\s])", lambda m: spell(m[1]) + read_digits(m[2])),
    rule("room", r"(?<![\d-])\d{3,4}(?=室(?!内|外|友)|房间|号房|病房|教室|包厢|包间|会议室|号楼)|(?<=[座栋楼单元])(?<!订单)\d{3,4}(?!\d|[平米个人元])",
         lambda m: read_digits(m[0])),
    rule("road", r"(?<=国道)\d{3}|(?<!\d)\d{3}(?=国道|省道|路公交|路车)", lambda m: read_digits(m[0])),
)  # fmt: skip
