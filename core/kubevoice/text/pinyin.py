"""A reading for each character before any change of tone: pinyin with tone digits (5 is the neutral tone, v is ü).

The lexicon comes first; then the network that knows characters of several readings; then the dictionary's phrases;
then the dictionary's characters.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from kubevoice.errors import InputError
from kubevoice.text.phrases import Phrases, Vote
from kubevoice.text.polyphones import Polyphones
from kubevoice.text.units import is_syllable

__all__ = ["Lexicon", "Reading", "parse_reading", "readings"]

Reading = tuple[str, ...]
Lexicon = Mapping[str, Reading]
SYLLABLE = re.compile(r"[a-zê]+[1-5]")
PATTERNS = (
    # What is counted is a row or a line, but 五行 are the five elements.
    (re.compile(r"(?:[二两三四六七八九十百千几数]|零一|[十百零]五|五(?=行[字诗文代]))(行)"), "hang2"),
    # Who becomes taller or fatter grows; the width and length of things is measured.
    (re.compile(r"(?<![周边波全身特延])(长)(?=[高胖壮])"), "zhang3"),
    # What is owed is given back.
    (re.compile(r"(还)(?=(?:[清完掉])?了?[一二三两四五六七八九十百千万亿几]*[元块]?(?:钱|债|贷款|欠款))"), "huan2"),
    (re.compile(r"把[^，。！？；]{1,8}(还)(?=了(?!解))"), "huan2"),
)
"""What is said of a character in some places that neither the network nor the dictionary knows."""
UNCHANGED = {"一": "yi1", "不": "bu4"}
"""Some phrases of the dictionary have these with the tone already changed; that is the next stage's work."""


def parse_reading(text: str) -> Reading:
    """Read syllables as people write them, with spaces between; InputError naming the first that is none."""
    syllables = tuple(text.lower().replace("u:", "v").replace("ü", "v").split())
    wrong = [s for s in syllables if s[-1] not in "12345" or not is_syllable(s[:-1])]
    if wrong:
        raise InputError(f"{wrong[0][:20]!r} is no pinyin syllable with a tone from 1 to 5")
    return syllables


@cache
def _character(character: str) -> str:
    """Return the commonest reading of a character on its own; InputError if it has none."""
    import pypinyin  # imported when first needed: it loads dictionaries

    found = pypinyin.lazy_pinyin(character, style=pypinyin.Style.TONE3, neutral_tone_with_five=True, errors="ignore")
    reading = found[0].replace("ü", "v") if found else ""
    if not SYLLABLE.fullmatch(reading):
        raise InputError(f"character {character!r} has no known reading; write it in other words")
    return reading


def _in_phrases(words: Sequence[str], forward: Sequence[Vote | None]) -> list[str | None]:
    """Return what the dictionary's phrases say of each character: a word's own reading, or the longest match's."""
    phrases = Phrases.load()
    said: list[str | None] = [vote.reading if vote else None for vote in forward]
    at = 0
    for word in words:
        if len(word) > 1 and (found := phrases.of(word)):
            said[at : at + len(word)] = found
        at += len(word)
    return said


def readings(words: Sequence[str], asked: Sequence[bool], lexicon: Lexicon) -> list[Reading]:
    """Return the syllables of each of a sentence's words, none for a word that is not asked.

    The words of the whole sentence are wanted, punctuation too: they are what tells the readings apart. Raises
    InputError naming the first character that has no known reading.
    """
    text = "".join(words)
    forward = Phrases.load().forward(text)
    said = _in_phrases(words, forward)
    for place, reading in Polyphones.load().readings(words, forward).items():
        said[place] = reading
    for pattern, reading in PATTERNS:
        for match in pattern.finditer(text):
            said[match.start(1)] = reading
    found: list[Reading] = []
    at = 0
    for word, wanted in zip(words, asked, strict=True):
        if not wanted:
            found.append(())
        elif word in lexicon:
            found.append(lexicon[word])
        else:
            here = zip(word, said[at : at + len(word)], strict=True)
            found.append(tuple(UNCHANGED.get(c) or reading or _character(c) for c, reading in here))
        at += len(word)
    return found
