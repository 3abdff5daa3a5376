"""OpenAI's `instructions`: the words of a description, Chinese or English, that name an emotion or a rate."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kubevoice.engine.controls import Controls, apply_style
from kubevoice.text.emotion_labels import EMOTION_BY_WORD, KNOWN_EMOTIONS, find_emotion
from kubevoice.text.ssml import Notice, Style
from kubevoice.voice import VoiceManifest

__all__ = ["Direction", "NamedEmotion", "apply_instructions", "parse_instructions"]

ENGLISH: Mapping[str, str] = {
    "neutral": "neutral flat matter-of-fact",
    "happy": "happily happiness cheerful cheerfully joyful joyfully joy glad upbeat cheery merry",
    "sad": "sadly sadness sorrowful mournful melancholy melancholic gloomy",
    "angry": "angrily anger furious furiously annoyed irritated",
    "serious": "seriously formal formally solemn solemnly stern",
    "polite": "politely courteous",
    "narrative": "narration narrator storytelling storyteller audiobook documentary",
    "encouraging": "encouragingly encouragement motivating supportive",
    "calm": "calmly calming composed peaceful",
    "urgent": "urgently urgency hurried",
    "fear": "fearful fearfully scared afraid frightened terrified",
    "disgust": "disgusted",
    "surprise": "surprised amazed astonished",
    "gentle": "gently soft softly tender tenderly warm warmly soothing",
    "relax": "relaxed relaxing laid-back",
    "lyrical": "poetic",
    "disgruntled": "dissatisfied",
    "excited": "excitedly excitement enthusiastic enthusiastically energetic thrilled",
    "anxiety": "anxious anxiously worried nervous nervously",
    "jealousy": "jealous envious",
    "hate": "hateful",
    "pity": "sympathetic compassionate",
}
CHINESE: Mapping[str, str] = {
    "happy": "欢乐 活泼 欢喜",
    "sad": "忧伤 悲痛 沉痛 伤感",
    "angry": "气愤 恼怒",
    "gentle": "轻柔 柔和 柔声 温暖 亲切",
    "excited": "热情 激昂",
    "calm": "安静 镇定",
    "fear": "恐慌 惊慌",
    "urgent": "焦急",
    "narrative": "讲述 说书",
}
EMOTIONS: Mapping[str, str] = (
    {emotion: emotion for emotion in KNOWN_EMOTIONS}
    | {word: emotion for table in (ENGLISH, CHINESE) for emotion, words in table.items() for word in words.split()}
    # Single characters occur in too many other words.
    | {word: emotion for word, emotion in EMOTION_BY_WORD.items() if len(word) > 1}
)
"""The emotion that each word means."""
RATES: Mapping[str, float] = {
    **dict.fromkeys(("fast", "faster", "quick", "quickly", "rapid", "rapidly", "brisk", "briskly", "快", "急促"), 1.25),
    **dict.fromkeys(("slow", "slowly", "slower", "unhurried", "leisurely", "慢", "缓慢", "放缓"), 0.8),
}
"""The factor on the speed that each word means."""
VERY = ("very", "extremely", "really", "highly", "deeply", "非常", "十分", "特别", "极其", "极度", "超级", "无比")
SLIGHTLY = ("slightly", "somewhat", "mildly", "less", "a little bit", "a little", "a bit", "a touch")
SLIGHTLY_CHINESE = ("稍微", "略微", "有点", "有些", "稍稍", "轻微")
DEGREES: Mapping[str, float] = {**dict.fromkeys(VERY, 1.5), **dict.fromkeys(SLIGHTLY + SLIGHTLY_CHINESE, 0.5)}
"""The intensity of an emotion after each word, and the exponent of a rate after it."""
NEGATIONS = (
    *("not", "no", "never", "without", "avoid", "don't", "cannot", "isn't"),
    *("不要", "不能", "不可", "不用", "不必", "不", "别", "勿", "避免", "没有"),
)
ENDS = ("but", "但", "而是", *",，.。;；:：!！?？\n")
"""What ends the scope of a negation."""
OTHERS = ("凉快", "痛快", "快递", "快要", "傲慢", "怠慢", "分别", "区别", "告别", "差别", "不同", "不断", "不错")
"""Words that contain one of the above and mean none."""


def _list_words(*groups: Iterable[str]) -> str:
    """Return a pattern for words, longer ones first; Latin words are whole ones."""
    words = sorted({word for group in groups for word in group}, key=len, reverse=True)
    whole = (rf"\b{re.escape(word)}\b" if word.isascii() and word[0].isalpha() else re.escape(word) for word in words)
    return "|".join(whole)


TOKEN = re.compile(_list_words(OTHERS, EMOTIONS, RATES, DEGREES, NEGATIONS, ENDS))


@dataclass(frozen=True, slots=True)
class NamedEmotion:
    """An emotion that instructions name, and its intensity; None if they say no degree."""

    emotion: str
    intensity: float | None = None


@dataclass(frozen=True, slots=True)
class Direction:
    """What instructions name.

    Attributes
    ----------
    emotions
        Emotions in the order of the text; a voice need not have them.
    rate
        Factor on the speed; None if they name none.
    """

    emotions: tuple[NamedEmotion, ...] = ()
    rate: float | None = None


def parse_instructions(text: str) -> Direction:
    """Find the emotions and the rate that a description of a way to speak names.

    Words after a negation of the same clause do not count. A word of degree, such as very or 有点, is that of the
    next emotion or rate.

    Parameters
    ----------
    text
        The description, Chinese or English or both.

    Returns
    -------
    Direction
        The emotions, and the first rate.
    """
    emotions: list[NamedEmotion] = []
    rate: float | None = None
    negated, degree = False, None
    for match in TOKEN.finditer(text.lower().replace("’", "'")):
        word = match[0]
        if word in OTHERS:
            continue
        if word in ENDS:
            negated, degree = False, None
        elif word in NEGATIONS:
            negated = True
        elif word in DEGREES:
            degree = DEGREES[word]
        else:
            if word in EMOTIONS and not negated:
                emotions.append(NamedEmotion(EMOTIONS[word], degree))
            elif word in RATES and not negated and rate is None:
                rate = RATES[word] ** (degree or 1.0)
            degree = None
    return Direction(tuple(emotions), rate)


def apply_instructions(
    controls: Controls, instructions: str | None, manifest: VoiceManifest
) -> tuple[Controls, tuple[Notice, ...]]:
    """Let instructions choose what the request does not: an emotion, its intensity and a rate.

    An emotion of the request takes precedence. A rate multiplies the speed of the request.

    Parameters
    ----------
    controls
        The controls of the request.
    instructions
        A description of the way to speak; None or blank changes nothing.
    manifest
        The voice.

    Returns
    -------
    tuple of Controls and tuple of Notice
        The controls, and a notice about what of the instructions is obeyed.
    """
    if not instructions or not instructions.strip():
        return controls, ()
    direction = parse_instructions(instructions)
    labels = [emotion.label for emotion in manifest.emotions]
    named = next((one for one in direction.emotions if find_emotion(one.emotion, labels)), None)
    obeyed: list[str] = []
    style = Style(rate=direction.rate or 1.0)
    if named is not None and controls.emotion is None:
        intensity = min(2.0, controls.intensity * (named.intensity or 1.0))
        style = replace(style, emotion=find_emotion(named.emotion, labels), intensity=intensity)
        obeyed.append(f"emotion {style.emotion}")
        if named.intensity is not None:
            obeyed.append(f"intensity {intensity:g}")
    controls = apply_style(controls, style, manifest)
    if direction.rate is not None:
        obeyed.append(f"speed {controls.speed:.3g}")
    message = (
        f"of `instructions` only this is obeyed: {', '.join(obeyed)}" if obeyed else "`instructions` have no effect"
    )
    if direction.emotions and named is None:
        message += (
            f"; voice {manifest.name} has no emotion {direction.emotions[0].emotion}, it has: {', '.join(labels)}"
        )
    return controls, (Notice(message),)
