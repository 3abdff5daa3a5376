"""English words in Chinese text: their phones, and the Mandarin syllables nearest to them.

Words are looked up in the CMU Pronouncing Dictionary. A word that it does not have is read letter by letter if it looks
like an initialism, otherwise by spelling rules.
"""

import lzma
import re
from functools import cache
from importlib import resources

from kubevoice.text.syllables import is_syllable

__all__ = ["Phone", "get_english_phones", "get_mandarin_syllables", "has_english"]

Phone = tuple[str, str]
"""A phone of the unit tables and its stress, "0" or "1"."""
LETTERS = {
    "a": "ey1", "b": "b iy1", "c": "s iy1", "d": "d iy1", "e": "iy1", "f": "eh1 f", "g": "jh iy1", "h": "ey1 ch",
    "i": "ay1", "j": "jh ey1", "k": "k ey1", "l": "eh1 l", "m": "eh1 m", "n": "eh1 n", "o": "ow1", "p": "p iy1",
    "q": "k y uw1", "r": "aa1 r", "s": "eh1 s", "t": "t iy1", "u": "y uw1", "v": "v iy1", "w": "d ah1 b ah0 l y uw0",
    "x": "eh1 k s", "y": "w ay1", "z": "z iy1",
}  # fmt: skip
LETTERS_IN_MANDARIN = {
    "a": "ei1", "b": "bi4", "c": "xi1", "d": "di4", "e": "yi1", "f": "ai4 fu2", "g": "ji2", "h": "ai4 chi3",
    "i": "ai4", "j": "jie2", "k": "kai1", "l": "ai4 le4", "m": "ai4 mu3", "n": "en1", "o": "ou1", "p": "pi4",
    "q": "kou4", "r": "a1", "s": "ai4 si1", "t": "ti2", "u": "you1", "v": "wei1", "w": "da2 bu4 liu1",
    "x": "ai4 ke4 si1", "y": "wai1", "z": "zei2 de2",
}  # fmt: skip
"""Mandarin syllables for the names of the letters."""
WORDS_IN_CAPITALS = frozenset(
    ("APP", "WEB", "TOP", "HOT", "NEW", "MAX", "PRO", "AIR", "FUN", "OFF", "PLUS", "MINI",
     "SIM", "PIN", "RAM", "ROM", "GIF")
)  # fmt: skip
SHORT = 3
"""A word of at most so many capitals is an initialism."""
SPELLINGS = (
    ("tion", "sh ah0 n"), ("sion", "zh ah0 n"), ("ough", "ow1"), ("igh", "ay1"), ("tch", "ch"), ("sch", "s k"),
    ("ch", "ch"), ("sh", "sh"), ("th", "th"), ("ph", "f"), ("wh", "w"), ("ck", "k"), ("ng", "ng"), ("qu", "k w"),
    ("ee", "iy1"), ("ea", "iy1"), ("oo", "uw1"), ("ou", "aw1"), ("ow", "ow1"), ("oa", "ow1"), ("ai", "ey1"),
    ("ay", "ey1"), ("ei", "ey1"), ("ey", "iy0"), ("oy", "oy1"), ("oi", "oy1"), ("au", "ao1"), ("aw", "ao1"),
    ("ar", "aa1 r"), ("er", "er0"), ("ir", "er1"), ("or", "ao1 r"), ("ur", "er1"), ("ew", "y uw1"), ("ie", "iy1"),
    ("a", "ae1"), ("b", "b"), ("c", "k"), ("d", "d"), ("e", "eh1"), ("f", "f"), ("g", "g"), ("h", "hh"), ("i", "ih1"),
    ("j", "jh"), ("k", "k"), ("l", "l"), ("m", "m"), ("n", "n"), ("o", "aa1"), ("p", "p"), ("q", "k"), ("r", "r"),
    ("s", "s"), ("t", "t"), ("u", "ah1"), ("v", "v"), ("w", "w"), ("x", "k s"), ("y", "iy0"), ("z", "z"),
)  # fmt: skip
VOWELS = {
    "aa": "a", "ae": "ai", "ah": "a", "ao": "ao", "aw": "ao", "ay": "ai", "eh": "ai", "er": "e", "ey": "ei", "ih": "i",
    "iy": "i", "ow": "ou", "oy": "uai", "uh": "u", "uw": "u",
}  # fmt: skip
NASAL = {"a": "an", "ai": "an", "ao": "ang", "e": "en", "ei": "en", "i": "in", "ou": "ong", "uai": "uan", "u": "un"}
INITIALS = {
    "b": "b", "ch": "q", "d": "d", "dh": "d", "f": "f", "g": "g", "hh": "h", "jh": "j", "k": "k", "l": "l", "m": "m",
    "n": "n", "p": "p", "r": "l", "s": "s", "sh": "sh", "t": "t", "th": "s", "v": "w", "w": "w", "y": "y", "z": "z",
    "zh": "r",
}  # fmt: skip
ALONE = {
    "b": "bu4", "ch": "qi2", "d": "de2", "dh": "de2", "f": "fu2", "g": "ge2", "hh": "he1", "jh": "zhi1", "k": "ke4",
    "l": "er3", "m": "mu3", "n": "en1", "ng": "en1", "p": "pu3", "r": "er3", "s": "si1", "sh": "shi2", "t": "te4",
    "th": "si1", "v": "fu2", "w": "wu1", "y": "yi1", "z": "zi1", "zh": "zhi1",
}  # fmt: skip
WITHOUT_INITIAL = {
    "i": "yi",
    "in": "yin",
    "u": "wu",
    "un": "wen",
    "ong": "weng",
    "uai": "wai",
    "uan": "wan",
    "ei": "ei",
}
FITTED = {
    "si": "xi", "zi": "ji", "shi": "xi", "ri": "ji", "gi": "ji", "ki": "ji", "hi": "xi", "fi": "fei", "wi": "wei",
    "sin": "xin", "zin": "jin", "shin": "xin", "rin": "jin", "gin": "jin", "kin": "jin", "hin": "xin", "fin": "fen",
    "win": "wen", "tin": "ting", "din": "ding", "fai": "fei", "fao": "fou", "fong": "feng", "bong": "beng",
    "pong": "peng", "mong": "meng", "fu": "fu", "wong": "weng", "bou": "bo", "pou": "po", "wou": "wo", "wao": "wo",
    "ban": "ban", "bun": "ben", "pun": "pen", "mun": "men", "fun": "fen", "wun": "wen", "be": "bo", "pe": "po",
    "fe": "fu", "we": "wo", "me": "mo", "wu": "wu", "jai": "jie", "qai": "qie", "ja": "jia", "qa": "qia", "jao": "jiao",
    "qao": "qiao", "jou": "jiu", "qou": "qiu", "jei": "jie", "qei": "qie", "je": "jue", "qe": "que", "jan": "jian",
    "qan": "qian", "jang": "jiang", "qang": "qiang", "jen": "jin", "qen": "qin", "jong": "jiong", "qong": "qiong",
    "ju": "ju", "qu": "qu", "jun": "jun", "qun": "qun", "yai": "ye", "yei": "ye", "ye": "ye", "yi": "yi", "yen": "yin",
    "yu": "you", "yun": "yun", "rai": "rui", "rei": "rui", "tei": "tai", "sei": "sai",
    "fuai": "fei", "buai": "bei", "puai": "pei", "muai": "mei", "duai": "dui", "tuai": "tui", "nuai": "nei",
    "luai": "lei", "suai": "sui", "zuai": "zui", "wuai": "wai", "juai": "jue", "quai": "que", "yuai": "yue",
    "ruai": "rui",
    "wuan": "wan", "fuan": "fan", "buan": "ban", "puan": "pan", "muan": "man", "yuan": "yuan",
}  # fmt: skip
"""Syllables that Mandarin does not have, and the nearest that it has."""


@cache
def _dictionary() -> dict[str, str]:
    packed = (resources.files("kubevoice.text") / "tables" / "english.txt.xz").read_bytes()
    lines = lzma.decompress(packed).decode().split("\n")
    return dict(line.split(" ", 1) for line in lines)


def has_english(word: str) -> bool:
    """Return whether the dictionary has a word.

    Parameters
    ----------
    word
        A word in small letters.

    Returns
    -------
    bool
        Whether its phones are known.
    """
    return word in _dictionary()


def _is_initialism(word: str) -> bool:
    if len(word) == 1:
        return True
    if word.isupper() and word not in WORDS_IN_CAPITALS and (len(word) <= SHORT or word.lower() not in _dictionary()):
        return True
    return word.lower() not in _dictionary() and not re.search("[aeiouy]", word.lower())


def _by_rules(word: str) -> str:
    pronunciation, at = [], 0
    if len(word) > SHORT and word.endswith("e") and word[-2] not in "aeiou":
        word = word[:-1]  # a final e is silent
    while at < len(word):
        spelling, sound = next(((s, p) for s, p in SPELLINGS if word.startswith(s, at)), (word[at], ""))
        pronunciation.append(sound)
        at += len(spelling)
    return " ".join(filter(None, pronunciation))


def _pronounce(word: str) -> str:
    plain = word.lower().replace("'", "") if word.lower() not in _dictionary() else word.lower()
    return _dictionary().get(plain) or _by_rules(plain)


def get_english_phones(word: str) -> tuple[Phone, ...]:
    """Return the phones of an English word.

    Secondary stress counts as stress; consonants have none.

    Parameters
    ----------
    word
        A word of ASCII letters and apostrophes.

    Returns
    -------
    tuple[Phone, ...]
        Each phone with its stress, in order.

    References
    ----------
    CMU Pronouncing Dictionary, Carnegie Mellon University (scripts/make_english.py compiles it).
    """
    pronunciation = (
        " ".join(LETTERS[c] for c in word.lower() if c in LETTERS) if _is_initialism(word) else _pronounce(word)
    )
    return tuple((phone.rstrip("012"), "1" if phone[-1] in "12" else "0") for phone in pronunciation.split())


def _syllables(consonant: str, final: str, tone: str) -> list[str]:
    """Return the syllable of a consonant ("" for none) and a final; two syllables where Mandarin cannot join them."""
    alone = f"{WITHOUT_INITIAL.get(final, final)}{tone}"
    if not consonant:
        return [alone]
    joined = FITTED.get(INITIALS[consonant] + final, INITIALS[consonant] + final)
    return [joined + tone] if is_syllable(joined) else [ALONE[consonant], alone]


def get_mandarin_syllables(word: str) -> tuple[str, ...]:
    """Return Mandarin syllables that sound like an English word, for voices that were not trained on English.

    A stressed syllable gets tone 4, any other tone 1. A consonant without a vowel becomes a syllable of its own.

    Parameters
    ----------
    word
        A word of ASCII letters and apostrophes.

    Returns
    -------
    tuple[str, ...]
        Pinyin syllables with tone digits.
    """
    if _is_initialism(word):
        return tuple(syllable for c in word.lower() if c in LETTERS for syllable in LETTERS_IN_MANDARIN[c].split())
    pronunciation = [*get_english_phones(word), ("", "0"), ("", "0")]
    syllables: list[str] = []
    at = 0
    while pronunciation[at][0]:
        consonant = "" if pronunciation[at][0] in VOWELS else pronunciation[at][0]
        if consonant and (consonant not in INITIALS or pronunciation[at + 1][0] not in VOWELS):
            syllables.append(ALONE[consonant])
            at += 1
            continue
        at += bool(consonant)
        vowel, stress = pronunciation[at]
        closed = pronunciation[at + 1][0] in ("n", "ng") and pronunciation[at + 2][0] not in VOWELS
        final = NASAL[VOWELS[vowel]] if closed else VOWELS[vowel]
        syllables += _syllables(consonant, final, "4" if stress == "1" else "1")
        at += 1 + closed
    return tuple(syllables)
