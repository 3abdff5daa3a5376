"""Words whose last syllable has a neutral tone: 东西, 衣服, 认识.

The table has those of 现代汉语词典 (7th edition) and of the list of the national test of spoken Chinese, without some
that careful speakers give a full tone, such as 关系. Other syllables with a neutral tone, such as 们, 子 and 着, are
readings of their own. Recordings may have full tones instead, so a voice can switch this off
(`FrontEndConfig.neutral_tones`).
"""

import itertools
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

__all__ = ["find_neutral_tones"]

LONGEST_WORD = 3
"""Characters of a word that a word of the table may be a part of: 男朋友, but not 贻笑大方."""


@cache
def _compile_words() -> re.Pattern[str]:
    text = (resources.files("kubevoice.text") / "tables" / "neutral.txt").read_text(encoding="utf-8")
    entries = [line.partition("\t") for line in text.splitlines() if not line.startswith("#")]
    entries.sort(key=lambda entry: len(entry[0]), reverse=True)
    return re.compile("|".join(f"{word}(?!{after})" if after else word for word, _, after in entries))


def find_neutral_tones(words: Sequence[str]) -> list[int]:
    """Return which syllables of a sentence have a neutral tone by their word.

    A word of the table counts where words of the sentence begin and end with it, or as the beginning or the end of a
    short one: 朋友圈, but not 这件事情况.

    Parameters
    ----------
    words
        The words of the sentence, of T characters together.

    Returns
    -------
    list[int]
        Indices of characters in the sentence.
    """
    text = "".join(words)
    matches = list(_compile_words().finditer(text))
    if not matches:
        return []
    ends = list(itertools.accumulate(map(len, words), initial=0))
    borders = set(ends)
    short = {place for begin, end in itertools.pairwise(ends) if end - begin <= LONGEST_WORD for place in [begin, end]}
    owners = [i for i, word in enumerate(words) for _ in word]
    places = []
    for match in matches:
        begin, end = match.span()
        is_part = owners[begin] == owners[end - 1] and len(words[owners[begin]]) <= LONGEST_WORD
        if (begin in borders and end in borders) or (is_part and (begin in short or end in short)):
            places.append(end - 1)
    return places
