"""Prosodic boundaries between the words of a phrase: #1 after a prosodic word, #2 after a prosodic phrase.

Prosodic phrases are chosen over the whole phrase at once, by dynamic programming: they have four to six syllables, do
not separate a particle from the word it attaches to, and prefer to begin with a conjunction, a preposition, an adverb
or an auxiliary. The words of these classes are closed lists, so no tagger is needed.
"""

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["predict_boundaries"]

LONGEST, SHORTEST = 6, 4
"""Syllables beyond, or below, which a prosodic phrase costs more the further it goes."""
LEAN = 8.0
"""What parting two words costs of which one leans on the other: no length that people can say outweighs it."""
LIGHT = 3.0
"""The same for a word of one character, mostly a verb before its object, and for 这家 and 三张 before their noun."""
ORDINARY, AFTER_OF, OPENING = 1.0, 0.5, 0.0
"""Elsewhere; after 的, where a long attribute may end; before a word that likes to begin a group."""

ENCLITICS = frozenset([
    *"的地得了着过吗呢吧啊呀嘛啦们上下里中内外后前时等之者到给成", "的话", "似的", "一样", "一下", "一点", "一些",
])  # fmt: skip
"""They lean on the word before."""
LINKS = frozenset([
    *"和与或并而但在从对把被向为比跟将是就都也才还又要会能请", "或者", "以及", "并且", "而且", "但是", "不过",
    "可是", "因为", "所以", "因此", "如果", "只要", "只有", "虽然", "即使", "然后", "于是", "对于", "为了", "关于",
    "通过", "按照", "根据", "由于", "随着", "已经", "正在", "一直", "能够", "可以", "应该", "必须", "需要", "不要",
    "不能", "不会",
])  # fmt: skip
"""Conjunctions, prepositions, adverbs and auxiliaries: they like to begin a group, and lean on the word after."""
PROCLITICS = LINKS | frozenset([
    *"不没别很最更太真再已可只这那每各某第两几一同往于以用由按让使叫有想像如所您我你他她", "没有", "非常", "这个",
    "那个", "一个", "这些", "那些",
])  # fmt: skip
"""They lean on the word after."""
NUMERALS = frozenset("零〇一二三四五六七八九十百千万亿两几点分之负")
DETERMINERS = frozenset("这那哪每各某两一二三四五六七八九十几")


def _boundary_cost(before: str, after: str) -> float:
    """Return what it costs to end a prosodic phrase between two words."""
    counted = all(character in NUMERALS for character in before)
    if after in ENCLITICS or before in PROCLITICS or counted:
        return LEAN
    counts = before[0] in DETERMINERS and len(before) < 4
    if (counts or len(before) == 1) and before not in ENCLITICS:
        return LIGHT
    if after in LINKS:
        return OPENING
    return AFTER_OF if before == "的" else ORDINARY


def _length_cost(syllables: int) -> float:
    over, under = max(0, syllables - LONGEST), max(0, SHORTEST - syllables)
    return (over / 2) ** 2 + (under / 2) ** 2


def predict_boundaries(words: Sequence[str], syllables: Sequence[int]) -> list[int]:
    """Return the level of the prosodic boundary before each word of a phrase.

    Parameters
    ----------
    words
        The words of the phrase.
    syllables
        The number of syllables of each word, [len(words)].

    Returns
    -------
    list of int
        Levels, [len(words)]: 0 before the first word, else 1 or 2.

    Notes
    -----
    The time is linear in the number of words: groups that cost more than separating words that belong together are
    not considered.
    """
    boundary_costs = [0.0, *(_boundary_cost(before, after) for before, after in pairwise(words))]
    best: list[tuple[float, int]] = [(0.0, 0)]
    """The cheapest way to end a group after so many words, and where its last group begins."""
    for end in range(1, len(words) + 1):
        candidates: list[tuple[float, int]] = []
        length = 0
        for begin in range(end - 1, -1, -1):
            length += syllables[begin]
            cost = _length_cost(length)
            if candidates and cost > 2 * LEAN:
                break
            candidates.append((best[begin][0] + boundary_costs[begin] + cost, begin))
        best.append(min(candidates))
    levels = [1] * len(words)
    end = len(words)
    while end:
        end = best[end][1]
        levels[end] = 2
    if levels:
        levels[0] = 0
    return levels
