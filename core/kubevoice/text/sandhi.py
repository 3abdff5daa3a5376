"""Stage six: tones as they are spoken together.

The rules of standard Mandarin as textbooks give them (Chao, A Grammar of Spoken Chinese, 1968, §1.3): 不 before a
fourth tone, 一 by what follows, the first of two third tones.
"""

import itertools

__all__ = ["apply_sandhi"]

Reading = tuple[str, ...]


def _with_tone(syllable: str, tone: str) -> str:
    return syllable[:-1] + tone


def _bu_and_yi(text: str, syllables: list[str], protected: set[int]) -> None:
    for i, character in enumerate(text):
        following = syllables[i + 1][-1] if i + 1 < len(syllables) else ""
        if i in protected:
            syllables[i] = "yi1"  # dictionaries list some of these phrases with the tone already changed
            continue
        if not following:
            continue
        if character == "不" and following == "4":
            syllables[i] = _with_tone(syllables[i], "2")
        elif character == "一" and syllables[i] == "yi1":
            between = i > 0 and text[i - 1] == text[i + 1]
            tone = "5" if between else ("2" if following == "4" else "4")
            syllables[i] = _with_tone(syllables[i], tone)


DIGITS = "零〇一二三四五六七八九"
BEFORE_FIGURE_ONE = f"{DIGITS}十百千万亿点第"


def _protected_yi(text: str) -> set[int]:
    """Places where 一 is a figure or an ordinal and keeps its tone."""
    return {
        i
        for i, character in enumerate(text)
        if character == "一"
        and (
            (i > 0 and text[i - 1] in BEFORE_FIGURE_ONE)
            or text[i + 1 : i + 2] in tuple(DIGITS + "十")
            or (text[i + 1 : i + 2] == "点" and text[i + 2 : i + 3] in tuple(DIGITS))
        )
    }


def _third_tones(syllables: list[str]) -> None:
    """Within a word, from the left: a third tone before a third tone becomes a second."""
    for i in range(len(syllables) - 1):
        if syllables[i][-1] == syllables[i + 1][-1] == "3":
            syllables[i] = _with_tone(syllables[i], "2")


def apply_sandhi(words: list[str], readings: list[Reading]) -> list[Reading]:
    """Return the readings as spoken; words and readings are of one phrase without a pause inside."""
    text = "".join(words)
    flat = [syllable for reading in readings for syllable in reading]
    if len(text) == len(flat):  # a lexicon may give a word another number of syllables
        _bu_and_yi(text, flat, _protected_yi(text))
    spoken, at = [], 0
    for reading in readings:
        word = flat[at : at + len(reading)]
        _third_tones(word)
        spoken.append(word)
        at += len(reading)
    # Across words: a word of one syllable leans on what follows it.
    for this, following in itertools.pairwise(spoken):
        if len(this) == 1 and this[0][-1] == "3" and following and following[0][-1] == "3":
            this[0] = _with_tone(this[0], "2")
    return [tuple(word) for word in spoken]
