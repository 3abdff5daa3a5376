"""Labels of emotions as people write them, in Chinese or English, and the emotions that they mean."""

import re
from collections.abc import Iterable, Mapping

from kubevoice.text.characters import clean
from kubevoice.text.units import EMOTIONS

__all__ = ["KNOWN_EMOTIONS", "STYLES", "find_emotion", "is_label", "resolve_emotion"]

STYLES = ("polite", "narrative", "encouraging", "urgent")
"""Labels of ours beyond KAN-TTS's emotions."""
KNOWN_EMOTIONS = tuple(e for e in EMOTIONS if e != "none" and not e.startswith("placeholder")) + STYLES
CHINESE = {
    "neutral": "中性 中立 普通 正常 平淡 无情感",
    "happy": "开心 高兴 快乐 喜悦 欢快 愉快 喜",
    "sad": "悲伤 难过 伤心 悲 哀",
    "angry": "生气 愤怒 发怒 怒",
    "serious": "严肃 庄重 正式",
    "polite": "客气 礼貌 客服",
    "narrative": "叙述 叙事 旁白 讲故事",
    "encouraging": "鼓励 激励",
    "calm": "平静 冷静 沉稳",
    "urgent": "紧急 急切 紧迫 着急",
    "fear": "害怕 恐惧 惊恐 惧",
    "disgust": "厌恶 反感",
    "surprise": "惊讶 惊喜 吃惊 惊",
    "gentle": "温柔 温和",
    "relax": "放松 轻松",
    "lyrical": "抒情",
    "disgruntled": "不满",
    "satisfied": "满意 满足",
    "disappointed": "失望",
    "excited": "兴奋 激动",
    "anxiety": "焦虑 担心",
    "jealousy": "嫉妒",
    "hate": "憎恨 仇恨",
    "pity": "怜悯 同情",
}
EMOTION_BY_WORD = {word: emotion for emotion, words in CHINESE.items() for word in words.split()}
LABEL = re.compile(r"[a-z㐀-䶿一-鿿][a-z0-9_㐀-䶿一-鿿-]{0,31}")
"""Chinese characters, or lower-case letters, digits, - and _; a label is part of file names."""


def resolve_emotion(label: str, mapping: Mapping[str, str] | None = None) -> str:
    """Return the emotion that a label means.

    Parameters
    ----------
    label
        As it was written: 开心, Happy, or a word of the user's own.
    mapping
        The user's own meanings, which come first (`spec.dataset.emotions`). A label that is mapped to itself stays.

    Returns
    -------
    str
        A known emotion if the label is one or a usual word for one, else the label in lower case.
    """
    mapping = mapping or {}
    word = clean(label).text.lower()
    target = mapping.get(label, mapping.get(word))
    if target is None:
        return EMOTION_BY_WORD.get(word, word)
    return target if target in (label, word) else resolve_emotion(target)


def is_label(emotion: str) -> bool:
    """Check whether an emotion can be one of a voice.

    Parameters
    ----------
    emotion
        What `resolve_emotion` returned.

    Returns
    -------
    bool
        Whether it has a label's characters and length.
    """
    return LABEL.fullmatch(emotion) is not None


def find_emotion(label: str, emotions: Iterable[str]) -> str | None:
    """Find the emotion of a voice that a label names.

    Parameters
    ----------
    label
        As a caller wrote it.
    emotions
        The voice's emotions.

    Returns
    -------
    str or None
        One of `emotions`; None if the voice has no such emotion.
    """
    known = tuple(emotions)
    return label if label in known else next((e for e in known if e == resolve_emotion(label)), None)
