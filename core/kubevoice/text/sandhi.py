"""Tones as they are spoken together.

The rules of standard Mandarin as textbooks give them (Chao, A Grammar of Spoken Chinese, 1968, §1.3; Duanmu, The
Phonology of Standard Chinese, 2007, ch. 11): 不 before a fourth tone, 一 by what follows, the first of two third tones,
and verbs said twice.
"""

import itertools
from collections.abc import Sequence

from kubevoice.text.g2p import Reading
from kubevoice.text.phrase_dictionary import PhraseDictionary

__all__ = ["apply_sandhi"]

DIGITS = "零〇一二三四五六七八九"
FIGURES = f"{DIGITS}两十百千万亿点第"
DETERMINERS = "这那哪每某另任同各"
"""Before 一 as the last of their word, they count what follows: 同一个, but 统一."""
ORDINALS = ("一月", "一号", "一楼", "一等", "一级", "一流", "一中", "一把手")
"""Here 一 is a name and not an amount, and keeps its tone."""
WHOLE = (
    "统一",
    "唯一",
    "万一",
    "专一",
    "单一",
    "合一",
    "归一",
    "逐一",
    "划一",
    "之一",
    "其一",
    "周一",
    "初一",
    "期一",
    "不一",
)
"""Words that end in 一 as it is, also within longer words."""
SAID_TWICE = "看说听想走试等谈问写读玩笑坐找歇聊学练尝闻摸动跑查数猜瞧逛算唱洗用讲帮管擦踢"
"""Verbs of one syllable that are said twice, the second time without a tone."""
MERGED = 3
"""Words of third tones are taken as one while they have so many syllables together."""


def _with_tone(syllable: str, tone: str) -> str:
    return syllable[:-1] + tone


def _is_figure(text: str, i: int) -> bool:
    """Tell whether 一 at `i` is a figure or an ordinal, which keep their tone."""
    following = text[i + 1 : i + 2]
    if i > 0 and text[i - 1] in FIGURES:
        return True
    if following in tuple(DIGITS + "十") or (following == "点" and text[i + 2 : i + 3] in tuple(DIGITS)):
        return True
    return text.startswith(ORDINALS, i)


def _yi(text: str, ends: set[int], i: int, following: str) -> str:
    if _is_figure(text, i) or text.endswith(WHOLE, 0, i + 1):
        return "1"
    if 0 < i < len(text) - 1 and text[i - 1] == text[i + 1]:
        return "5"
    last_of_word = i in ends and i - 1 not in ends and i > 0
    if not following or (last_of_word and text[i - 1] not in DETERMINERS):
        return "1"
    return "2" if following in "45" else "4"


def _bu(text: str, middles: set[int], i: int, following: str) -> str:
    if i in middles or (0 < i < len(text) - 1 and text[i - 1] == text[i + 1]):
        return "5"
    return "2" if following == "4" else "4"


def _bu_and_yi(words: Sequence[str], readings: Sequence[Reading]) -> list[str]:
    """Return the syllables of all words with the tones of 不 and 一 changed."""
    # A character a syllable; a lexicon may give a word another number of them, and then none is 不 or 一.
    aligned = [
        word if len(word) == len(reading) else "·" * len(reading) for word, reading in zip(words, readings, strict=True)
    ]
    text, syllables = "".join(aligned), [syllable for reading in readings for syllable in reading]
    lasts = [end - 1 for end in itertools.accumulate(map(len, aligned))]
    ends = set(lasts)
    middles = {end - 1 for word, end in zip(aligned, lasts, strict=True) if len(word) == 3}
    for i, character in enumerate(text):
        following = syllables[i + 1][-1] if i + 1 < len(syllables) else ""
        if character == "一" and syllables[i] == "yi1":
            syllables[i] = f"yi{_yi(text, ends, i, following)}"
        elif character == "不" and syllables[i] == "bu4":
            syllables[i] = f"bu{_bu(text, middles, i, following)}"
    return syllables


def _said_twice(word: str, syllables: list[str]) -> None:
    """看看, 试试: the second has no tone."""
    if len(word) == len(syllables) > 1 and word[0] == word[1] and word[0] in SAID_TWICE:
        syllables[1] = _with_tone(syllables[1], "5")


def _groups(word: str, count: int) -> list[int]:
    """Return the sizes of the parts that a word of `count` syllables is said in: 小|老虎, but 展览|馆."""
    if count <= 2:
        return [count]
    if count == 3:
        known = PhraseDictionary.load().codes
        return [1, 2] if len(word) == 3 and word[1:] in known and word[:2] not in known else [3]
    return [2, *_groups(word[2:], count - 2)]


def _third_tones(word: str, syllables: list[str]) -> None:
    """From the left in each part of a word: a third tone before a third tone becomes a second."""
    at = 0
    for size in _groups(word, len(syllables)):
        for i in range(at, at + size - 1):
            if syllables[i][-1] == syllables[i + 1][-1] == "3":
                syllables[i] = _with_tone(syllables[i], "2")
        at += size


def _all_third(syllables: Sequence[str]) -> bool:
    return bool(syllables) and all(syllable[-1] == "3" for syllable in syllables)


def apply_sandhi(words: Sequence[str], readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings as spoken; words and readings are of one phrase without a pause inside."""
    flat = _bu_and_yi(words, readings)
    spoken: list[list[str]] = []
    at = 0
    for word, reading in zip(words, readings, strict=True):
        spoken.append(flat[at : at + len(reading)])
        at += len(reading)
        _said_twice(word, spoken[-1])
    # A word of third tones leans on the next one that begins with a third tone, if the two are short.
    original = [list(syllables) for syllables in spoken]
    for word, syllables in zip(words, spoken, strict=True):
        _third_tones(word, syllables)
    for i, (this, following) in enumerate(itertools.pairwise(original)):
        short = len(this) == 1 or len(this) + len(following) <= MERGED
        if _all_third(this) and short and spoken[i + 1] and spoken[i + 1][0][-1] == "3":
            spoken[i][-1] = _with_tone(spoken[i][-1], "2")
    return [tuple(syllables) for syllables in spoken]
