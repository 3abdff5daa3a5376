"""Tone sandhi: tones that change beside others.

The rules of standard Mandarin as textbooks give them (Chao, A Grammar of Spoken Chinese, 1968, §1.3; Duanmu, The
Phonology of Standard Chinese, 2007, ch. 11): 不 before a fourth tone, 一 by what follows, the first of two third tones,
and reduplicated verbs.
"""

import itertools
from collections.abc import Sequence

from kubevoice.text.g2p import Reading
from kubevoice.text.phrase_dictionary import PhraseDictionary

__all__ = ["apply_sandhi"]

DIGITS = "零〇一二三四五六七八九"
NUMERALS = f"{DIGITS}两十百千万亿点第"
DETERMINERS = "这那哪每某另任同各"
"""Before 一 at the end of a word, these make it a number of what follows: 同一个, but not 统一."""
ORDINALS = ("一月", "一号", "一楼", "一等", "一级", "一流", "一中", "一把手")
"""Here 一 is an ordinal and keeps its tone."""
UNCHANGED_YI = (
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
"""Words in which a final 一 keeps its tone, also within longer words."""
REDUPLICATED = "看说听想走试等谈问写读玩笑坐找歇聊学练尝闻摸动跑查数猜瞧逛算唱洗用讲帮管擦踢"
"""Verbs of one syllable that are reduplicated; the second syllable has the neutral tone."""
MERGED = 3
"""Two words of third tones are treated as one if they have at most so many syllables together."""


def _with_tone(syllable: str, tone: str) -> str:
    return syllable[:-1] + tone


def _is_numeral(text: str, i: int) -> bool:
    """Tell whether 一 at `i` is part of a number or an ordinal, where it keeps its tone."""
    following = text[i + 1 : i + 2]
    if i > 0 and text[i - 1] in NUMERALS:
        return True
    if following in tuple(DIGITS + "十") or (following == "点" and text[i + 2 : i + 3] in tuple(DIGITS)):
        return True
    return text.startswith(ORDINALS, i)


def _is_between_verbs(text: str, i: int) -> bool:
    """Tell whether 一 or 不 at `i` is that of 看一看, 好不好; in 一拐一拐 it is the beginning of the second part."""
    return 0 < i < len(text) - 1 and text[i - 1] == text[i + 1] and text[max(i - 2, 0)] != text[i]


def _tone_of_yi(text: str, ends: set[int], i: int, following: str) -> str:
    """Return the tone of 一 at `i`, from the indices of the last characters of words and the next syllable's tone."""
    if _is_numeral(text, i) or text.endswith(UNCHANGED_YI, 0, i + 1):
        return "1"
    if _is_between_verbs(text, i):
        return "5"
    last_of_word = i in ends and i - 1 not in ends and i > 0
    if not following or (last_of_word and text[i - 1] not in DETERMINERS):
        return "1"
    return "2" if following in "45" else "4"


def _tone_of_bu(text: str, middles: set[int], i: int, following: str) -> str:
    """Return the tone of 不 at `i`, from the indices of middle characters of words and the next syllable's tone."""
    if i in middles or _is_between_verbs(text, i):
        return "5"
    return "2" if following == "4" else "4"


def _apply_bu_and_yi(words: Sequence[str], readings: Sequence[Reading]) -> list[str]:
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
            syllables[i] = f"yi{_tone_of_yi(text, ends, i, following)}"
        elif character == "不" and syllables[i] == "bu4":
            syllables[i] = f"bu{_tone_of_bu(text, middles, i, following)}"
    return syllables


def _neutralize_reduplication(word: str, syllables: list[str]) -> None:
    """Give the second syllable of 看看, 试试 and the like the neutral tone."""
    if len(word) == len(syllables) > 1 and word[0] == word[1] and word[0] in REDUPLICATED:
        syllables[1] = _with_tone(syllables[1], "5")


def _groups(word: str, count: int) -> list[int]:
    """Return the sizes of the parts in which a word of `count` syllables has sandhi: 小|老虎, but 展览|馆."""
    if count <= 2:
        return [count]
    if count == 3:
        phrases = PhraseDictionary.load().codes
        return [1, 2] if len(word) == 3 and word[1:] in phrases and word[:2] not in phrases else [3]
    return [2, *_groups(word[2:], count - 2)]


def _apply_third_tones(word: str, syllables: list[str]) -> None:
    """Make a third tone before a third tone a second, from the left in each part of a word."""
    at = 0
    for size in _groups(word, len(syllables)):
        for i in range(at, at + size - 1):
            if syllables[i][-1] == syllables[i + 1][-1] == "3":
                syllables[i] = _with_tone(syllables[i], "2")
        at += size


def _are_all_third(syllables: Sequence[str]) -> bool:
    return bool(syllables) and all(syllable[-1] == "3" for syllable in syllables)


def apply_sandhi(words: Sequence[str], readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings of a phrase with the tones that they have in context.

    Parameters
    ----------
    words
        The words of a phrase without a pause in it.
    readings
        The reading of each word before sandhi, [len(words)].

    Returns
    -------
    list[Reading]
        The readings after sandhi, [len(words)].

    References
    ----------
    Chao, A Grammar of Spoken Chinese, 1968, §1.3; Duanmu, The Phonology of Standard Chinese, 2007, ch. 11.
    """
    flat = _apply_bu_and_yi(words, readings)
    changed: list[list[str]] = []
    at = 0
    for word, reading in zip(words, readings, strict=True):
        changed.append(flat[at : at + len(reading)])
        at += len(reading)
        _neutralize_reduplication(word, changed[-1])
    # A word of third tones changes before a word that begins with a third tone, if the two are short.
    original = [list(syllables) for syllables in changed]
    for word, syllables in zip(words, changed, strict=True):
        _apply_third_tones(word, syllables)
    for i, (current, following) in enumerate(itertools.pairwise(original)):
        short = len(current) == 1 or len(current) + len(following) <= MERGED
        if _are_all_third(current) and short and changed[i + 1] and changed[i + 1][0][-1] == "3":
            changed[i][-1] = _with_tone(changed[i][-1], "2")
    return [tuple(syllables) for syllables in changed]
