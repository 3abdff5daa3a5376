"""Scores and ratios, formations, and figures that are joined by hyphens or slashes without being a range."""

import re

from kubevoice.text.normalisation.measures import COUNTED
from kubevoice.text.normalisation.numbers import read_cardinal, read_digits
from kubevoice.text.normalisation.rule import rule

__all__ = ["JOINED", "RULES"]

CONTEST = (
    "比分|战胜|击败|险胜|大胜|完胜|爆冷|不敌|逼平|战平|领先|落后|负于|惜败|总分|扳成|改写为|锁定|定格在|逆转|横扫|以"
)
COUNTRY = "中国|美国|日本|韩国|英国|法国|德国|巴西|阿根廷|西班牙|意大利|荷兰|葡萄牙|英格兰|俄罗斯|澳大利亚|[队]"
OUTCOME = (
    "战胜|击败|险胜|大胜|完胜|小胜|力克|力压|领先|落后|逼平|战平|握手言和|不敌|负于|惜败|惨败|大败|完败|告负|获胜|取胜|胜出|输给|"
    "轻取|横扫|逆转|反超|淘汰|拿下|赢|胜|负|平(?![米方均台时])"
)
"""What the sides of a score do, right after it."""
MATCH = re.compile(
    "比分|战胜|击败|[险大完小]胜|力克|不敌|逼平|战平|负于|[惜惨]败|扳[平回成]|横扫|[主客]场|[半全]场(?!景)|[首次末][局盘节]|第[一二三四五\\d][局盘节]|"
    "[局赛]点|点球|系列赛|决赛|淘汰赛|小组赛|联赛|晋级|夺冠|[主客]队|连[胜败]|不败"
)
"""Words of a report on a match."""
COUNT = re.compile(
    rf"\s?(?:{COUNTED}|[年月日号楼折成级档期区组线环码寸颗章节题行列季轮局盘分名强席晚夜站厘毫℃°%‰+=×÷*A-Za-z])"
)
"""A pair of numbers before these is a range: 3-5天. 大胜, 队 and the like are tested before."""
PAIR = r"(\d{1,3})[-–—](\d{1,3})"
PLACE = r"(?<![\d.:/\-–—A-Za-z第表图式题章节附例案号楼栋室街路弄级])"
"""What does not stand before a score."""


def _replace_score(match: re.Match[str]) -> str:
    return f"{match[1]}{read_cardinal(match[2])}比{read_cardinal(match[3])}"


def _get_sentence(match: re.Match[str]) -> str:
    """Return the text around a match, to the ends of its sentence."""
    text = match.string
    begin = max(text.rfind(stop, 0, match.start()) for stop in "。！？；\n") + 1
    ends = (end for stop in "。！？；\n" if (end := text.find(stop, match.end())) >= 0)
    return text[max(begin, match.start() - 60) : min(*ends, match.end() + 60, len(text))]


def _replace_pairs(match: re.Match[str]) -> str:
    """Read pairs of numbers as scores if one of them descends, or if the sentence reports on a match."""
    if COUNT.match(match.string, match.end()):
        return match[0]
    pairs = re.findall(PAIR, match[0])
    if not any(int(first) > int(second) for first, second in pairs) and not MATCH.search(_get_sentence(match)):
        return match[0]
    return re.sub(PAIR, lambda pair: f"{read_cardinal(pair[1])}比{read_cardinal(pair[2])}", match[0])


def _replace_joined(match: re.Match[str]) -> str:
    """Read figures joined by hyphens: a formation without the signs, an address or a serial with them."""
    parts = re.split("[-–]", match[0])
    if all(len(part) == 1 for part in parts):
        return read_digits(match[0])
    return "杠".join(read_cardinal(part) if len(part) < 3 else read_digits(part) for part in parts)


def _replace_pressure(match: re.Match[str]) -> str:
    unit = "毫米汞柱" if match[4] else ""
    return f"{match[1]}{read_cardinal(match[2])}，{read_cardinal(match[3])}{unit}"


RULES = (
    rule("score", rf"((?:{CONTEST})[^\d，。；！？]{{0,6}}?)(\d{{1,3}})\s?[:：]\s?(\d{{1,3}})(?![\d:：.%年月点])", _replace_score),
    rule("score with hyphen", rf"((?:{CONTEST})[^\d，。；！？]{{0,6}}?){PAIR}(?=(?:的(?:总?比分|优势|成绩))?(?:{OUTCOME}|[，。！？；,;!?、）)”]|$))", _replace_score),
    rule("score at the end", rf"((?:{COUNTRY}))(\d{{1,3}})[:：\-–](\d{{1,3}})(?![\d:：.%年月])(?!\s?(?:{COUNTED}))", _replace_score),
    rule("score before", rf"()(?<![\d:.])(\d{{1,3}})[:：\-–](\d{{1,3}})(?=(?:的(?:总?比分|优势|成绩))?(?:{OUTCOME}))", _replace_score),
    rule("scores", rf"{PLACE}{PAIR}(?:[、，,/和\s]{{1,2}}{PAIR}){{0,8}}(?![\d.:/\-–—])", _replace_pairs),
    rule("formation", r"(?<![\d.\-–/A-Za-z])\d(?:[-–]\d){2,4}(?![\d.\-–/A-Za-z月日年])", _replace_joined),
    rule("ratio", r"()(?<![\d:.])(\d{1,3}):(\d(?!\d)|[6-9]\d(?!\d)|\d{3,5})(?![\d:])", _replace_score),
    rule("ratio by name", r"((?:比例|比值|之比|配比|宽高比|比率)[^\d，。]{0,4})(\d{1,4})[:：](\d{1,4})(?!\d)", _replace_score),
    rule("blood pressure", r"((?:血压|高压|低压|收缩压)[^\d，。；]{0,6})(\d{2,3})/(\d{2,3})(?![\d./])(\s?mmHg)?", _replace_pressure),
    rule("pressure in mmHg", r"()(?<![\d./])(\d{2,3})/(\d{2,3})(\s?mmHg)", _replace_pressure),
    rule("table or figure", r"(?<=[表图式])(\d{1,3})[-–](\d{1,3})(?![\d\-–])", lambda m: f"{read_cardinal(m[1])}杠{read_cardinal(m[2])}"),
)  # fmt: skip
JOINED = (
    rule("address", r"(?<![\d.\-–/A-Za-z])\d{1,4}(?:[-–]\d{1,5}){2,4}(?![\d.\-–/])|(?<![\d.\-–/])\d{1,3}[-–]\d{3,4}(?=室|房(?!间?[多余])|户)", _replace_joined),
    rule("season", r"(?<!\d)((?:19|20)\d\d)/((?:19|20)?\d\d)(?=赛季|学年|年度|财年|跨年|雪季|榨季|年(?!\d))", lambda m: read_digits(m[0])),
    rule("all day", r"(?<![\d./])24/7(?![\d./])", lambda _match: "二十四七"),
)  # fmt: skip
"""After dates, which these look like."""
