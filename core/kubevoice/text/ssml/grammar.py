"""The meaning of each element, with the names of the W3C, Azure, Aliyun, Google, Tencent and Amazon in one table."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from kubevoice.errors import InputError
from kubevoice.text.emotion_labels import resolve_emotion
from kubevoice.text.normalisation import KINDS, say_as
from kubevoice.text.pinyin import parse_pinyin
from kubevoice.text.segment import is_han
from kubevoice.text.ssml import values
from kubevoice.text.ssml.frame import Attributes, Frame, Position
from kubevoice.text.ssml.spans import Break, Mark, Notice, Span, Speech, Style

__all__ = ["Grammar"]

LONGEST_BREAK = 20.0
PINYIN = ("py", "pinyin", "sapi", "x-pinyin", "x-microsoft-sapi")
DEFAULT_BREAK = "medium"
AFTER = {"p": 0.6, "paragraph": 0.6, "s": 0.3, "sentence": 0.3}
"""Seconds of silence after an element."""
LONGEST_SILENCE = 300.0
"""Seconds of silence in a document."""
TEXTLESS = frozenset(["metadata", "meta", "lexicon", "lookup", "desc", "soundevent", "backgroundaudio"])
TRANSPARENT = frozenset(["speak", "lang", "domain", "effect", "auto-breaths", "seq", "par", "media", "viseme", "mstts"])
RATES, PITCHES, VOLUMES = (0.25, 4.0), (-12.0, 12.0), (0.0, 2.0)
ALIYUN = 500.0
"""Aliyun's rates and pitches are -500 to 500, its volumes 0 to 100, where 50 is the normal volume."""


def _clip(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def _combine(style: Style, rate: float = 1.0, pitch: float = 0.0, volume: float = 1.0) -> Style:
    """Return the style of a nested element: rates and volumes multiply, pitches add, within their limits."""
    return replace(
        style,
        rate=_clip(style.rate * rate, RATES),
        pitch=_clip(style.pitch + pitch, PITCHES),
        volume=_clip(style.volume * volume, VOLUMES),
    )


def _parse_value(name: str, text: str, parse: Callable[[str], float | None], example: str) -> float:
    value = parse(text)
    if value is None:
        raise InputError(f"{name}={text[:40]!r} is not valid; write it like {example}")
    return value


def _parse_number(attributes: Attributes, name: str, default: float) -> float:
    try:
        number = float(attributes.get(name, default))
    except ValueError:
        number = float("nan")
    if not -1e6 < number < 1e6:
        raise InputError(f"{name}={attributes.get(name, '')[:40]!r} is not a number")
    return number


class Grammar:
    """Turns elements into spans as they open and close.

    Attributes
    ----------
    spans
        Spans so far; elements and their text add to it.
    notices
        Notices so far about parts that have no effect.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.notices: list[Notice] = []
        self._silence_so_far = 0.0
        """Seconds of all breaks so far, which are limited together."""

    def enter(self, name: str, attributes: Attributes, parent: Frame | None, position: Position) -> Frame:
        """Open an element.

        Parameters
        ----------
        name
            Its name, with a prefix if it has one.
        attributes
            Its attributes.
        parent
            The element around it, if any.
        position
            Line and column of its beginning.

        Returns
        -------
        Frame
            The open element.

        Raises
        ------
        InputError
            If a value is invalid or the element is refused.
        """
        local = name.rpartition(":")[2].lower()
        frame = Frame(local, attributes, parent.style if parent else Style(), position, spans=self.spans)
        frame.mute = bool(parent and parent.mute) or local in TEXTLESS
        if parent is not None and parent.collects:
            # The text inside <sub> or <say-as> is read as one piece; elements in it have no effect.
            if local == "audio":
                self._open_audio(frame)
            self.notice(frame, f"<{name[:40]}> within <{parent.name or 'an element'}> has no effect")
            frame.name, frame.collects, frame.pieces = "", True, parent.pieces
            return frame
        if opened := self._OPENED.get(local):
            opened(self, frame)
        elif local not in TRANSPARENT and local not in TEXTLESS:
            self.notice(frame, f"<{name[:40]}> is unknown; its text is read")
        return frame

    def leave(self, frame: Frame) -> None:
        """Close an element.

        Parameters
        ----------
        frame
            The element.

        Raises
        ------
        InputError
            If its text or a value is invalid.
        """
        if frame.collects and frame.name in self._CLOSED and not frame.mute:
            self._CLOSED[frame.name](self, frame)
        elif frame.name in AFTER and not frame.mute:
            self._add_pause(AFTER[frame.name])

    def notice(self, frame: Frame, message: str) -> None:
        """Add a notice at an element.

        Parameters
        ----------
        frame
            The element.
        message
            What has no effect.
        """
        self.notices.append(Notice(message, *frame.position))

    def _open_speak(self, frame: Frame) -> None:
        if not {"rate", "pitch", "volume"}.isdisjoint(frame.attributes):
            rate, pitch = _parse_number(frame.attributes, "rate", 0), _parse_number(frame.attributes, "pitch", 0)
            volume = _parse_number(frame.attributes, "volume", 50)
            speed = 2 ** (_clip(rate, (-ALIYUN, ALIYUN)) / ALIYUN)
            frame.style = _combine(frame.style, speed, 12 * pitch / ALIYUN, max(volume, 0) / 50)
        if "voice" in frame.attributes:
            frame.style = replace(frame.style, speaker=frame.attributes["voice"])

    def _open_voice(self, frame: Frame) -> None:
        if name := frame.attributes.get("name"):
            frame.style = replace(frame.style, speaker=name)

    def _open_prosody(self, frame: Frame) -> None:
        attributes = frame.attributes
        rate, pitch, volume = 1.0, 0.0, 1.0
        if "rate" in attributes:
            rate = _parse_value("rate", attributes["rate"], values.parse_rate, "fast, +20% or 1.2")
        if "pitch" in attributes:
            pitch = _parse_value("pitch", attributes["pitch"], values.parse_pitch, "high, +2st, +10% or +20Hz")
        if "volume" in attributes:
            volume = _parse_value("volume", attributes["volume"], values.parse_volume, "loud, +6dB, +10% or 80")
        frame.style = _combine(frame.style, rate, pitch, volume)
        for name in sorted({"contour", "range", "duration"} & set(attributes)):
            self.notice(frame, f"{name} of <prosody> has no effect")

    def _open_emphasis(self, frame: Frame) -> None:
        level = frame.attributes.get("level", "moderate").lower()
        if level not in values.EMPHASIS:
            raise InputError(f"level={level[:40]!r} is not valid; there are: {', '.join(values.EMPHASIS)}")
        frame.style = _combine(frame.style, *values.EMPHASIS[level])

    def _open_express_as(self, frame: Frame) -> None:
        style = frame.attributes.get("style") or frame.attributes.get("name") or frame.attributes.get("category") or ""
        degree = _parse_number(frame.attributes, "styledegree", _parse_number(frame.attributes, "intensity", 1.0))
        emotion = values.STYLES.get(style.lower())
        if emotion is None and any(is_han(character) for character in style):
            emotion = resolve_emotion(style)
        if emotion is None:
            self.notice(frame, f"style {style[:40]!r} is unknown; it has no effect")
            return
        frame.style = replace(frame.style, emotion=emotion, intensity=_clip(degree, (0.0, 2.0)))

    def _open_break(self, frame: Frame) -> None:
        attributes = frame.attributes
        if "time" in attributes:
            length = _parse_value("time", attributes["time"], values.parse_seconds, "500ms or 1.5s")
        else:
            strength = attributes.get("strength", DEFAULT_BREAK).lower()
            if strength not in values.BREAKS:
                raise InputError(f"strength={strength[:40]!r} is not valid; there are: {', '.join(values.BREAKS)}")
            length = values.BREAKS[strength]
        self._limit_pause(frame, length)

    def _open_silence(self, frame: Frame) -> None:
        self._limit_pause(
            frame, _parse_value("value", frame.attributes.get("value", ""), values.parse_seconds, "500ms or 1.5s")
        )

    def _limit_pause(self, frame: Frame, length: float) -> None:
        if length > LONGEST_BREAK:
            self.notice(frame, f"a break of {length:g} s is shortened to {LONGEST_BREAK:g} s")
        if length and not frame.mute:
            self._add_pause(min(length, LONGEST_BREAK))

    def _add_pause(self, length: float) -> None:
        self._silence_so_far += length
        if self._silence_so_far > LONGEST_SILENCE:
            raise InputError(f"the document has more than {LONGEST_SILENCE:g} s of silence; shorten its breaks")
        self.spans.append(Break(length))

    def _open_mark(self, frame: Frame) -> None:
        name = frame.attributes.get("name") or frame.attributes.get("mark") or ""
        if not name:
            raise InputError(f"<{frame.name}> has no name")
        self.spans.append(Mark(name))

    def _open_audio(self, frame: Frame) -> None:
        if "src" in frame.attributes:
            raise InputError("<audio src> is refused: KubeVoice fetches no audio; mix it in afterwards")

    def _collect(self, frame: Frame) -> None:
        frame.collects = True

    def _close_sub(self, frame: Frame) -> None:
        alias = frame.attributes.get("alias")
        if alias is None:
            raise InputError("<sub> has no alias")
        self.spans.append(Speech(alias, frame.style, None))

    def _close_word(self, frame: Frame) -> None:
        text, offset = frame.join_text()
        if text.strip():
            self.spans.append(Speech(text, frame.style, offset, is_word=True))

    def _close_say_as(self, frame: Frame) -> None:
        text, offset = frame.join_text()
        kind = frame.attributes.get("interpret-as") or frame.attributes.get("type") or ""
        if kind.lower() not in KINDS:
            self.notice(frame, f"interpret-as={kind[:40]!r} is unknown; the text is read as it is")
            self.spans.append(Speech(text, frame.style, offset))
            return
        verbalized = say_as(kind, text, frame.attributes.get("format", ""))
        self.spans.append(Speech(verbalized, frame.style, offset if verbalized == text else None, literal=True))

    def _close_phoneme(self, frame: Frame) -> None:
        text, offset = frame.join_text()
        alphabet = frame.attributes.get("alphabet", "py").lower()
        if alphabet not in PINYIN:
            self.notice(frame, f"alphabet {alphabet[:40]!r} is unknown; the text is read as it is")
            self.spans.append(Speech(text, frame.style, offset))
            return
        # Azure's sapi has a space between syllable and tone, and may have a hyphen between syllables.
        ph = re.sub(r"(?<=[a-zA-Zü])\s+(?=[1-5])", "", frame.attributes.get("ph", "").replace("-", " "))
        syllables = parse_pinyin(ph)
        if not syllables:
            raise InputError('ph is empty; write it like ph="dian3 dang4"')
        written = "".join(c for c in text if is_han(c))
        if len(written) != len(syllables):
            raise InputError(f"ph has {len(syllables)} syllables for {len(written)} characters; give one for each")
        start = next(i for i, c in enumerate(text) if is_han(c))
        place = offset + start if offset is not None and text[start : start + len(written)] == written else None
        self.spans.append(Speech(written, frame.style, place, pinyin=syllables, is_word=True))

    _OPENED: Mapping[str, Callable[["Grammar", Frame], None]] = {
        "speak": _open_speak, "voice": _open_voice, "prosody": _open_prosody, "emphasis": _open_emphasis,
        "express-as": _open_express_as, "emotion": _open_express_as, "style": _open_express_as, "break": _open_break,
        "silence": _open_silence, "mark": _open_mark, "bookmark": _open_mark, "audio": _open_audio,
        "sub": _collect, "w": _collect, "token": _collect, "word": _collect, "say-as": _collect, "phoneme": _collect,
        **dict.fromkeys(("p", "s", "paragraph", "sentence"), lambda _self, _frame: None),
    }  # fmt: skip
    _CLOSED: Mapping[str, Callable[["Grammar", Frame], None]] = {
        "sub": _close_sub, "w": _close_word, "token": _close_word, "word": _close_word, "say-as": _close_say_as,
        "phoneme": _close_phoneme,
    }  # fmt: skip
