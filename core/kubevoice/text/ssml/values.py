"""Values of SSML's attributes: times, rates, pitches, volumes, and the names of styles."""

import math
import re

__all__ = ["BREAKS", "EMPHASIS", "STYLES", "parse_pitch", "parse_rate", "parse_seconds", "parse_volume"]

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
"""Names of styles of Azure, Google and Aliyun, and the nearest emotion; `emotion_labels` has the Chinese names."""
NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
LOUDEST_DB = 60.0
"""Larger values are limited to this, which is more than the engine allows."""
HERTZ = 200.0
"""Reference for pitches and shifts in hertz: between the usual pitch of men and of women."""


def parse_seconds(text: str) -> float | None:
    """Read a time: 500ms, 1.5s, or 500 in milliseconds.

    Parameters
    ----------
    text
        Value of an attribute.

    Returns
    -------
    float | None
        Seconds; None if the value is not a time.
    """
    match = re.fullmatch(rf"\s*\+?{NUMBER}\s*(ms|s)?\s*", text)
    return None if match is None else float(match[1]) / (1 if match[2] == "s" else 1000)


def _relative(text: str) -> float | None:
    """Return +20% as 1.2, -10% as 0.9 and 80% as 0.8."""
    match = re.fullmatch(rf"\s*([+-]?){NUMBER}%\s*", text)
    if match is None:
        return None
    share = float(match[2]) / 100
    return {"+": 1 + share, "-": 1 - share}.get(match[1], share)


def parse_rate(text: str) -> float | None:
    """Read a rate: a word, a percentage or a number.

    Parameters
    ----------
    text
        Value of an attribute.

    Returns
    -------
    float | None
        Factor on the speed; None if the value is not a rate.
    """
    word = text.strip().lower()
    if word in RATES:
        return RATES[word]
    if (share := _relative(text)) is not None:
        return share
    match = re.fullmatch(rf"\s*{NUMBER}x?\s*", text)
    return float(match[1]) if match else None


def parse_pitch(text: str) -> float | None:
    """Read a pitch: a word, +2st, +10%, +20Hz or 220Hz.

    Parameters
    ----------
    text
        Value of an attribute.

    Returns
    -------
    float | None
        Semitones; None if the value is not a pitch.
    """
    word = text.strip().lower()
    if word in PITCHES:
        return PITCHES[word]
    if match := re.fullmatch(rf"\s*([+-]?){NUMBER}\s*st\s*", text):
        return float(f"{match[1]}{match[2]}")
    if (share := _relative(text)) is not None:
        return 12 * math.log2(share) if share > 0 else None
    if match := re.fullmatch(rf"\s*([+-]?){NUMBER}\s*hz\s*", text, re.IGNORECASE):
        share = float(f"{match[1]}{match[2]}") / HERTZ
        ratio = 1 + share if match[1] else share
        return 12 * math.log2(ratio) if ratio > 0 else None
    return None


def parse_volume(text: str) -> float | None:
    """Read a volume: a word, +6dB, +10%, or 0 to 100, where 100 is the normal volume.

    Parameters
    ----------
    text
        Value of an attribute.

    Returns
    -------
    float | None
        Factor on the samples; None if the value is not a volume.
    """
    word = text.strip().lower()
    if word in VOLUMES:
        return VOLUMES[word]
    if match := re.fullmatch(rf"\s*([+-]?){NUMBER}\s*db\s*", text, re.IGNORECASE):
        return float(10 ** (min(float(f"{match[1]}{match[2]}"), LOUDEST_DB) / 20))
    if (share := _relative(text)) is not None:
        return share
    if match := re.fullmatch(rf"\s*([+-]?){NUMBER}\s*", text):
        share = float(match[2]) / 100
        return {"+": 1 + share, "-": max(0.0, 1 - share)}.get(match[1], share)
    return None
