"""Readings that the polyphone network and the phrase dictionary get wrong: patterns of contexts, and a table of words.

The readings are those of 现代汉语词典 (7th edition) and of place-names and surnames in common use.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources

from kubevoice.text.segment import is_common_word

__all__ = ["find_exceptions"]

AMOUNT = "约?[零一二两三四五六七八九十百千万亿半几数点多余]{1,12}"
TITLE = (
    "先生|女士|小姐|老师|教授|医生|大夫|主任|经理|总(?=[，。！？说在表的是和]|$)|院长|校长|局长|处长|部长|市长|省长|县长|书记|主席|董事|"
    "律师|警官|师傅|同学|同志|阿姨|叔叔|大爷|大妈|导演|教练|博士|工程师|太太|家人?(?=[，。！？的住])|某"
)
SURNAMES = {
    "任": "ren2", "单": "shan4", "仇": "qiu2", "区": "ou1", "查": "zha1", "华": "hua4", "解": "xie4", "曲": "qu1", "曾": "zeng1",
    "盖": "ge3", "朴": "piao2", "缪": "miao4", "燕": "yan1", "乐": "yue4", "员": "yun4", "尉": "wei4", "翟": "zhai2", "冼": "xian3",
    "葛": "ge3", "盛": "sheng4", "薄": "bo2", "柏": "bai3", "谌": "chen2",
}  # fmt: skip
"""Surnames that have another reading elsewhere."""
CLEAR = "单仇区华曲朴缪燕翟冼葛谌柏"
"""Before a title they are surnames wherever a word begins; the others may be verbs: 他任主任."""
NAMED = "任单仇区查解曲盖朴缪燕翟冼葛柏薄"
"""They count before a given name, too; 华 does not, as many companies begin with it: 华泰."""
BEFORE_SURNAME = r"(?:^|[\s，。！？；、：“（《]|(?<![子老])[和与跟向请叫找是对给由让被]|姓|老|小|任命|命|聘|选|推举|邀请|记者|演员|作者|导演|主持人)"
GIVEN = frozenset(
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华文玉建国红志辉春海燕龙晓小宇浩然子轩梓涵欣怡雨泽诗俊凯嘉佳琪瑞雪梅兰竹菊云峰鹏飞翔"
    "亮光荣富贵福禄寿祥瑜瑾璇琳琴莉莎萍萌倩婷妍婉如诺依依颖慧智勤俭德仁义礼信忠孝廉耻良善美贤淑惠珍珠宝金银铜铁钢锋剑斌武威震雷霆霖"
    "森林松柏杨柳桐楠榕樟栋梁才华学博士元方正直清洁波江河湖涌泉源深渊博远达通顺康健安宁静思维新民生权利坤乾天地星辰月阳晨曦晖昊昕昱"
    "晟景晴岚岩山石磐玮琦璐瑶珊珂珏珺瑛璋璟锐锦铭钧鑫镛铮锡铎培坚均堂墨增壁圣地在基堃城埔堪塘声处备夏多夕太夫央奇奋奕妙妤姗姝娅娇娴"
    "嫣媛嫦孟季孙宗定宜宝宣容宾寅密寒察尚尧展屹岳崇嵘巍工左巧巨已巩常干平年幸庆应庚康延弘弦彤彦彩彬彭征律徐微心必念怀恒恩恺悦情惟愉意"
    "慕戈成我战扬承抒抗拓振捷掌揆敬斐斯旭昌旺昭晋普暄曙曼朋朗望木本朱杏权材村来松极果枫柯桃桑梦棋榆楚楷模樱欢歌毅毓永汉汝沁沐沛治泓泰"
    "洁洪济浚浪浩润淳添淼湘湛溪滢潇澄澜灵灿炎炜炳烁烨焕煌煜照熙熹牧特狄献玄玲珑理琛琨琼瑄瑾璞甜生田甲男画略白皓盈益盛真睿知石硕碧磊礼祖禾"
    "秋程稳立竞笑筠筱笙箫素紫纪纯经绍维绮罗翎翠耀耕聪肖胜育舒航舟艺艾芊芝芬芮芷苏苑若英茂茜茵荃荣莲莹菁菡菲萱蓉蓓蔓蕊蕾薇虎虹蝶行裕西言"
    "誉诗诚语谊谦豪豫赫超越路轩轲辰辉进连迪逸运达铃长青靖非音韬韵颂颜风馨驰骏骥高鲁鸣鸿鹤鹰麒麟黎黛鼎齐龄霄"
)
"""Characters of given names."""
PATTERNS = (
    # After a number 行 is a row or a line; but 五行 are the five elements.
    (re.compile(r"(?:[二两三四六七八九十百千几数]|零一|[十百零]五|五(?=行[字诗文代]))(行)(?!动|星|走|驶|政|为了?[^，。])"), "hang2"),
    (re.compile(r"(?:[一每]|第[一二三四五六七八九十百千零]{1,6})(行)(?=[字诗泪行]|文字|代码|小字|大字|数据|标题|脚印|眼泪|白鹭|大树|空行|空白|注释|命令|记录|汉字|英文)"), "hang2"),
    (re.compile(r"第[一二三四五六七八九十百千零]{1,6}(行)(?![动为业])"), "hang2"),
    # 这一行 is a trade or a line, 这一行人 are people on their way.
    (re.compile(r"(?:[这那哪干爱专上下另每空前同某]|最后|起)一(行)(?![人为动程走政装李星旅])|一行(行)"), "hang2"),
    (re.compile(r"一(行)(?=有一行)|(?<=有一)(行)(?=的)"), "hang2"),
    (re.compile(r"[这那哪](行)(?=[字诗]|代码|文字|数据|干|的|饭|当|赚钱|水[很太深])|[干做入学懂吃]了?[这那哪](行)|多(行)(?=文本|代码|输入|注释|数据|字)"), "hang2"),
    (re.compile(r"[^一-鿿]每(行)|^每(行)(?![至驶走进善一])"), "hang2"),
    (re.compile(r"每(行)(?=[字诗]|代码|文字|数据|最多|一个|一条|一[字句]|都?[有是放写显]|[零一二两三四五六七八九十百]{1,3}[个字])"), "hang2"),
    # 同行 is a colleague, or to go together.
    (re.compile(r"(?:一路|一起|结伴|携手|并肩|相伴|陪[你我他她您]|伴[你我他她您]|[和与跟][^，。！？；]{1,6})同(行)(?=[，。！？；]|$)|(?:一路|结伴|携手|并肩|相伴)同(行)"), "xing2"),
    (re.compile(r"同(行)(?=的(?:人|伙伴|旅|朋友|还有|有)|者|人员|票)"), "xing2"),
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
    *((re.compile(rf"{BEFORE_SURNAME}({name})(?={TITLE})|姓({name})"), reading) for name, reading in SURNAMES.items()),
)  # fmt: skip
"""A pattern whose group is the character, and its reading there; a later one overrides an earlier one."""


@cache
def _load_words() -> dict[str, tuple[str, ...]]:
    text = (resources.files("kubevoice.text") / "tables" / "words.txt").read_text(encoding="utf-8")
    return {word: tuple(syllables.split()) for word, syllables in (line.split("\t") for line in text.splitlines())}


@cache
def _compile_words() -> re.Pattern[str]:
    return re.compile("|".join(sorted(_load_words(), key=len, reverse=True)))


NAME = re.compile(rf"([{NAMED}])([{''.join(sorted(GIVEN))}]{{1,2}})|([{CLEAR}])(?={TITLE})")


def _find_surnames(text: str, ends: set[int]) -> Iterator[int]:
    """Yield the indices of surnames before a given name or a title, where words of the sentence begin and end."""
    for match in NAME.finditer(text):
        begin, end = match.span()
        if begin not in ends:
            continue
        if match[3]:
            yield begin
            continue
        end = end if end in ends else end - 1  # 任晓 in 任晓在家
        is_verb = text[begin] not in CLEAR and begin + 1 in ends and is_common_word(text[begin + 1 : end])
        if end in ends and not is_verb and not is_common_word(text[begin : begin + 2]):
            yield begin


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
    for place in _find_surnames(text, ends):
        readings[place] = SURNAMES[text[place]], "contexts"
    for match in _compile_words().finditer(text):
        if match.start() in ends and match.end() in ends:
            syllables = ((syllable, "words") for syllable in _load_words()[match[0]])
            readings |= zip(range(match.start(), match.end()), syllables, strict=True)
    for pattern, reading in PATTERNS:
        for match in pattern.finditer(text):
            readings[match.start(match.lastindex or 1)] = reading, "contexts"
    return readings
