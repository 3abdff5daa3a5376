"""Readings that the polyphone network and the phrase dictionary get wrong: patterns of contexts, and a table of words.

The readings are those of 现代汉语词典 (7th edition) and of place-names and surnames in common use.
"""

import itertools
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

__all__ = ["find_exceptions"]

AMOUNT = "约?[零一二两三四五六七八九十百千万亿半几数点多余]{1,12}"
TITLE = (
    "先生|女士|小姐|老师|教授|医生|大夫|主任|经理|总(?=[，。！？说在表的是和]|$)|院长|校长|局长|处长|部长|市长|省长|县长|书记|主席|董事|"
    "律师|警官|师傅|同学|同志|阿姨|叔叔|大爷|大妈|导演|教练|博士|工程师|太太|家人?(?=[，。！？的住])|某"
)
SURNAMES = {
    "任": "ren2", "单": "shan4", "仇": "qiu2", "区": "ou1", "查": "zha1", "华": "hua4", "解": "xie4", "曲": "qu1", "曾": "zeng1",
    "盖": "ge3", "朴": "piao2", "缪": "miao4", "燕": "yan1", "乐": "yue4", "员": "yun4", "尉": "wei4", "翟": "zhai2", "冼": "xian3",
}  # fmt: skip
"""Surnames that have another reading elsewhere."""
BEFORE_SURNAME = r"(?:^|[\s，。！？；、：“（《]|(?<![子老])[和与跟向请叫找是对给由让被]|姓|老|小)"
PATTERNS = (
    # After a number 行 is a row or a line; but 五行 are the five elements.
    (re.compile(r"(?:[二两三四六七八九十百千几数]|零一|[十百零]五|五(?=行[字诗文代]))(行)"), "hang2"),
    (re.compile(r"(?:[一每]|第[一二三四五六七八九十百千零]{1,6})(行)(?=[字诗泪行]|文字|代码|小字|大字|数据|标题|脚印|眼泪|白鹭|大树)"), "hang2"),
    (re.compile(r"第[一二三四五六七八九十百千零]{1,6}(行)(?![动为业])"), "hang2"),
    # 长 before 高, 胖 or 壮 is to grow, unless it follows a word for a dimension.
    (re.compile(r"(?<![周边波全身特延])(长)(?=[高胖壮])"), "zhang3"),
    # 长 after a word of degree is long.
    (re.compile(r"(?:非常|很|太|特别|更|比较|挺|这么|那么|十分|相当|越来越|最)(长)(?=[的了，。！？、久]|$|时间|一段)"), "chang2"),
    # 还 before a debt, or after 把 and before 了, is to give back.
    (re.compile(r"(还)(?=(?:[清完掉])?了?[一二三两四五六七八九十百千万亿几]*[元块]?(?:钱|债|贷款|欠款))"), "huan2"),
    (re.compile(r"把[^，。！？；]{1,8}(还)(?=了(?!解))"), "huan2"),
    (re.compile(r"(?:钱|款|债|贷|账|书)[都也已经早就全要得该能]{0,3}(还)(?=了(?!解)|[清完给上]|[吗吧，。！？]|$)"), "huan2"),
    # 得 between a person and what they have to do is must.
    (re.compile(r"(?:[我你他她它们这那咱谁]|[都还可就也总必又先只](?<!不可))(得)(?=看(?!见|到|出)|去|走|问|想(?!象)|等(?!到)|做|找|说|加|多|先|赶|再|靠|让|把|用|花|要|"
                r"跟|注意|小心|吃|买|上班|上课|回|换|改|交|付|写|学|听|承认|好好|马上|尽快|自己)"), "dei3"),
    # 重 before a weight.
    (re.compile(rf"(重)(?={AMOUNT}(?:千克|公斤|毫克|克拉|克|斤|吨|磅|盎司|两(?!遍|次|个)))"), "zhong4"),
    *(
        (re.compile(rf"{BEFORE_SURNAME}({surname})(?={TITLE})|姓({surname})"), reading)
        for surname, reading in SURNAMES.items()
    ),
)  # fmt: skip
"""A pattern whose group is the character, and its reading there; a later one overrides an earlier one."""


@cache
def _load_words() -> dict[str, tuple[str, ...]]:
    text = (resources.files("kubevoice.text") / "tables" / "words.txt").read_text(encoding="utf-8")
    return {word: tuple(syllables.split()) for word, syllables in (line.split("\t") for line in text.splitlines())}


@cache
def _compile_words() -> re.Pattern[str]:
    return re.compile("|".join(sorted(_load_words(), key=len, reverse=True)))


def find_exceptions(words: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Return the readings of a sentence that patterns and the table of words decide.

    A word of the table counts where the sentence's words begin and end with it: 和面, but not 和面粉.

    Parameters
    ----------
    words
        The words of the sentence, of T characters together.

    Returns
    -------
    dict[int, tuple[str, str]]
        A reading, and "words" or "contexts", by the index of the character in the sentence.
    """
    text = "".join(words)
    ends = set(itertools.accumulate(map(len, words), initial=0))
    readings: dict[int, tuple[str, str]] = {}
    for match in _compile_words().finditer(text):
        if match.start() in ends and match.end() in ends:
            syllables = ((syllable, "words") for syllable in _load_words()[match[0]])
            readings |= zip(range(match.start(), match.end()), syllables, strict=True)
    for pattern, reading in PATTERNS:
        for match in pattern.finditer(text):
            readings[match.start(match.lastindex or 1)] = reading, "contexts"
    return readings
