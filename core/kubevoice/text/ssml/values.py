"""Values of SSML's attributes: times, rates, pitches, volumes, and the names of styles."""

import math
import re

__all__ = ["BREAKS", "EMPHASIS", "STYLES", "pitch", "rate", "seconds", "volume"]

BREAKS = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 0.75, "x-strong": 1.25}
"""Azure's lengths for the W3C's strengths, in seconds."""
EMPHASIS = {
    "strong": (0.85, 1.0, 1.25),
    "moderate": (0.92, 0.5, 1.12),
    "none": (1.0, 0.0, 1.0),
    "reduced": (1.1, -0.5, 0.85),
}
"""Factor on the rate, semitones and factor on the volume by level."""
RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75}
PITCHES = {"x-low": -6.0, "low": -3.0, "medium": 0.0, "default": 0.0, "high": 3.0, "x-high": 6.0}
VOLUMES = {"silent": 0.0, "x-soft": 0.3, "soft": 0.6, "medium": 1.0, "default": 1.0, "loud": 1.4, "x-loud": 1.8}
STYLES = {
    "neutral": "neutral", "chat": "neutral", "assistant": "neutral", "general": "neutral", "default": "neutral",
    "happy": "happy", "cheerful": "happy", "lively": "happy", "friendly": "happy", "hopeful": "happy",
    "excited": "excited", "sad": "sad", "depressed": "sad", "disappointed": "disappointed", "angry": "angry",
    "unfriendly": "angry", "shouting": "angry", "disgruntled": "disgruntled", "annoyed": "disgruntled",
    "serious": "serious", "firm": "serious", "newscast": "serious", "news": "serious", "newscast-casual": "serious",
    "newscast-formal": "serious", "fear": "fear", "fearful": "fear", "terrified": "fear", "surprise": "surprise",
    "disgust": "disgust", "hate": "hate", "calm": "calm", "gentle": "gentle", "affectionate": "gentle",
    "empathetic": "gentle", "whispering": "gentle", "lyrical": "lyrical", "poetry-reading": "lyrical",
    "relax": "relax", "customerservice": "polite", "polite": "polite", "apologetic": "polite",
    "narration-professional": "narrative", "narration-relaxed": "narrative", "documentary-narration": "narrative",
    "narrator": "narrative", "narrative": "narrative", "story": "narrative", "encouraging": "encouraging",
    "urgent": "urgent", "embarrassed": "anxiety", "envious": "jealousy", "jealousy": "jealousy",
}  # fmt: skip
"""Azure's, Google's and Aliyun's names of styles, and our emotion that comes nearest."""
NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
LOUDEST_DB = 60.0
"""More is cut to what the engine allows in any case."""
HERTZ = 200.0
"""The pitch that shifts in hertz are taken from, and that pitches in hertz are compared with: between a man's and a
woman's."""


def seconds(text: str) -> float | None:
    """Return a time such as 500ms, 1.5s or 500, which are milliseconds, in seconds; None if it is none."""
    found = re.fullmatch(rf"\s*\+?{NUMBER}\s*(ms|s)?\s*", text)
    return None if found is None else float(found[1]) / (1 if found[2] == "s" else 1000)


def _relative(text: str) -> float | None:
    """Return +20% as 1.2, -10% as 0.9 and 80% as 0.8."""
    found = re.fullmatch(rf"\s*([+-]?){NUMBER}%\s*", text)
    if found is None:
        return None
    share = float(found[2]) / 100
    return {"+": 1 + share, "-": 1 - share}.get(found[1], share)


def rate(text: str) -> float | None:
    """Return a rate as a factor on the speed: a word, a percentage or a number; None if it is none."""
    word = text.strip().lower()
    if word in RATES:
        return RATES[word]
    if (share := _relative(text)) is not None:
        return share
    found = re.fullmatch(rf"\s*{NUMBER}x?\s*", text)
    return float(found[1]) if found else None


def pitch(text: str) -> float | None:
    """Return a pitch in semitones: a word, +2st, +10%, +20Hz, 220Hz; None if it is none of them."""
    word = text.strip().lower()
    if word in PITCHES:
        return PITCHES[word]
    if found := re.fullmatch(rf"\s*([+-]?){NUMBER}\s*st\s*", text):
        return float(f"{found[1]}{found[2]}")
    if (share := _relative(text)) is not None:
        return 12 * math.log2(share) if share > 0 else None
    if found := re.fullmatch(rf"\s*([+-]?){NUMBER}\s*hz\s*", text, re.IGNORECASE):
        share = float(f"{found[1]}{found[2]}") / HERTZ
        ratio = 1 + share if found[1] else share
        return 12 * math.log2(ratio) if ratio > 0 else None
    return None


def volume(text: str) -> float | None:
    """Return a volume as a factor: a word, +6dB, +10%, or 0 to 100, which is as loud as ever; None if it is none."""
    word = text.strip().lower()
    if word in VOLUMES:
        return VOLUMES[word]
    if found := re.fullmatch(rf"\s*([+-]?){NUMBER}\s*db\s*", text, re.IGNORECASE):
        return float(10 ** (min(float(f"{found[1]}{found[2]}"), LOUDEST_DB) / 20))
    if (share := _relative(text)) is not None:
        return share
    if found := re.fullmatch(rf"\s*([+-]?){NUMBER}\s*", text):
        share = float(found[2]) / 100
        return {"+": 1 + share, "-": max(0.0, 1 - share)}.get(found[1], share)
    return None
