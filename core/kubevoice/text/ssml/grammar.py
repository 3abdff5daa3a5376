"""What each element means: the W3C's, Azure's, Aliyun's, Google's, Tencent's and Amazon's names in one table."""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from kubevoice.errors import InputError
from kubevoice.text.g2p import parse_reading
from kubevoice.text.normalisation import KINDS, say_as
from kubevoice.text.segment import is_han
from kubevoice.text.ssml import values
from kubevoice.text.ssml.spans import Break, Mark, Notice, Span, Speech, Style

__all__ = ["Frame", "Grammar"]

Where = tuple[int, int]
Attributes = Mapping[str, str]
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
"""Aliyun's rates and pitches go from -500 to 500, its volume from 0 to 100 with 50 as it is."""


@dataclass(slots=True)
class Frame:
    """An open element: its style, and its text so far with the offset of each piece."""

    name: str
    attributes: Attributes
    style: Style
    where: Where
    collects: bool = False
    mute: bool = False
    pieces: list[tuple[str, int]] = field(default_factory=list)
    spans: list[Span] | None = None

    def add(self, text: str, offset: int) -> None:
        """Take a piece of text."""
        if self.mute:
            return
        self.pieces.append((text, offset))
        if not self.collects and self.spans is not None:
            self.spans.append(Speech(text, self.style, offset))


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def _changed(style: Style, rate: float = 1.0, pitch: float = 0.0, volume: float = 1.0) -> Style:
    """Return a style within another: rates and volumes multiply, pitches add."""
    return replace(
        style,
        rate=_within(style.rate * rate, RATES),
        pitch=_within(style.pitch + pitch, PITCHES),
        volume=_within(style.volume * volume, VOLUMES),
    )


def _value(name: str, text: str, read: Callable[[str], float | None], example: str) -> float:
    found = read(text)
    if found is None:
        raise InputError(f"{name}={text[:40]!r} is not understood; write it like {example}")
    return found


def _number(attributes: Attributes, name: str, default: float) -> float:
    try:
        found = float(attributes.get(name, default))
    except ValueError:
        found = float("nan")
    if not -1e6 < found < 1e6:
        raise InputError(f"{name}={attributes.get(name, '')[:40]!r} is not a number")
    return found


class Grammar:
    """Makes spans of elements as they open and close."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.notices: list[Notice] = []
        self._silence_so_far = 0.0

    def enter(self, name: str, attributes: Attributes, parent: Frame | None, where: Where) -> Frame:
        """Open an element. Raises InputError for a value that means nothing and for what is refused."""
        local = name.rpartition(":")[2].lower()
        frame = Frame(local, attributes, parent.style if parent else Style(), where, spans=self.spans)
        frame.mute = bool(parent and parent.mute) or local in TEXTLESS
        if parent is not None and parent.collects:
            # What is inside <sub> or <say-as> is read as one; its elements are not obeyed.
            if local == "audio":
                self._audio(frame)
            self.notice(frame, f"<{name[:40]}> within <{parent.name or 'an element'}> is not obeyed")
            frame.name, frame.collects, frame.pieces = "", True, parent.pieces
            return frame
        if opened := self._OPENED.get(local):
            opened(self, frame)
        elif local not in TRANSPARENT and local not in TEXTLESS:
            self.notice(frame, f"<{name[:40]}> is not known; its text is spoken")
        return frame

    def leave(self, frame: Frame) -> None:
        """Close an element."""
        if frame.collects and frame.name in self._CLOSED and not frame.mute:
            self._CLOSED[frame.name](self, frame)
        elif frame.name in AFTER and not frame.mute:
            self._pause(AFTER[frame.name])

    def notice(self, frame: Frame, message: str) -> None:
        """Say that something is not obeyed."""
        self.notices.append(Notice(message, *frame.where))

    def _speak(self, frame: Frame) -> None:
        if not {"rate", "pitch", "volume"}.isdisjoint(frame.attributes):
            rate, pitch = _number(frame.attributes, "rate", 0), _number(frame.attributes, "pitch", 0)
            volume = _number(frame.attributes, "volume", 50)
            speed = 2 ** (_within(rate, (-ALIYUN, ALIYUN)) / ALIYUN)
            frame.style = _changed(frame.style, speed, 12 * pitch / ALIYUN, max(volume, 0) / 50)
        if "voice" in frame.attributes:
            frame.style = replace(frame.style, speaker=frame.attributes["voice"])

    def _voice(self, frame: Frame) -> None:
        if name := frame.attributes.get("name"):
            frame.style = replace(frame.style, speaker=name)

    def _prosody(self, frame: Frame) -> None:
        got = frame.attributes
        rate = _value("rate", got["rate"], values.rate, "fast, +20% or 1.2") if "rate" in got else 1.0
        pitch = _value("pitch", got["pitch"], values.pitch, "high, +2st, +10% or +20Hz") if "pitch" in got else 0.0
        volume = _value("volume", got["volume"], values.volume, "loud, +6dB, +10% or 80") if "volume" in got else 1.0
        frame.style = _changed(frame.style, rate, pitch, volume)
        for name in sorted({"contour", "range", "duration"} & set(got)):
            self.notice(frame, f"{name} of <prosody> is not obeyed")

    def _emphasis(self, frame: Frame) -> None:
        level = frame.attributes.get("level", "moderate").lower()
        if level not in values.EMPHASIS:
            raise InputError(f"level={level[:40]!r} is not understood; there are: {', '.join(values.EMPHASIS)}")
        frame.style = _changed(frame.style, *values.EMPHASIS[level])

    def _express_as(self, frame: Frame) -> None:
        style = frame.attributes.get("style") or frame.attributes.get("name") or frame.attributes.get("category") or ""
        degree = _number(frame.attributes, "styledegree", _number(frame.attributes, "intensity", 1.0))
        emotion = values.STYLES.get(style.lower())
        if emotion is None:
            self.notice(frame, f"style {style[:40]!r} is not known; the voice stays as it is")
            return
        frame.style = replace(frame.style, emotion=emotion, intensity=_within(degree, (0.0, 2.0)))

    def _break(self, frame: Frame) -> None:
        got = frame.attributes
        if "time" in got:
            length = _value("time", got["time"], values.seconds, "500ms or 1.5s")
        else:
            strength = got.get("strength", DEFAULT_BREAK).lower()
            if strength not in values.BREAKS:
                raise InputError(f"strength={strength[:40]!r} is not understood; there are: {', '.join(values.BREAKS)}")
            length = values.BREAKS[strength]
        self._silent(frame, length)

    def _silence(self, frame: Frame) -> None:
        self._silent(frame, _value("value", frame.attributes.get("value", ""), values.seconds, "500ms or 1.5s"))

    def _silent(self, frame: Frame, length: float) -> None:
        if length > LONGEST_BREAK:
            self.notice(frame, f"a break of {length:g} s is cut to {LONGEST_BREAK:g} s")
        if length and not frame.mute:
            self._pause(min(length, LONGEST_BREAK))

    def _pause(self, length: float) -> None:
        self._silence_so_far += length
        if self._silence_so_far > LONGEST_SILENCE:
            raise InputError(f"the document asks for more than {LONGEST_SILENCE:g} s of silence; shorten its breaks")
        self.spans.append(Break(length))

    def _mark(self, frame: Frame) -> None:
        name = frame.attributes.get("name") or frame.attributes.get("mark") or ""
        if not name:
            raise InputError(f"<{frame.name}> has no name")
        self.spans.append(Mark(name))

    def _audio(self, frame: Frame) -> None:
        if "src" in frame.attributes:
            raise InputError("<audio src> is refused, for nothing is fetched here; mix the sound in yourself")

    def _collect(self, frame: Frame) -> None:
        frame.collects = True

    def _sub(self, frame: Frame) -> None:
        alias = frame.attributes.get("alias")
        if alias is None:
            raise InputError("<sub> has no alias")
        self.spans.append(Speech(alias, frame.style, None))

    def _word(self, frame: Frame) -> None:
        text, offset = _collected(frame)
        if text.strip():
            self.spans.append(Speech(text, frame.style, offset, whole=True))

    def _say_as(self, frame: Frame) -> None:
        text, offset = _collected(frame)
        kind = frame.attributes.get("interpret-as") or frame.attributes.get("type") or ""
        if kind.lower() not in KINDS:
            self.notice(frame, f"interpret-as={kind[:40]!r} is not known; the text is read as it looks")
            self.spans.append(Speech(text, frame.style, offset))
            return
        verbalized = say_as(kind, text, frame.attributes.get("format", ""))
        self.spans.append(Speech(verbalized, frame.style, offset if verbalized == text else None, literal=True))

    def _phoneme(self, frame: Frame) -> None:
        text, offset = _collected(frame)
        alphabet = frame.attributes.get("alphabet", "py").lower()
        if alphabet not in PINYIN:
            self.notice(frame, f"alphabet {alphabet[:40]!r} is not known; the text is read as it looks")
            self.spans.append(Speech(text, frame.style, offset))
            return
        # Azure's sapi has a space between syllable and tone, and may have a hyphen between syllables.
        ph = re.sub(r"(?<=[a-zA-Zü])\s+(?=[1-5])", "", frame.attributes.get("ph", "").replace("-", " "))
        syllables = parse_reading(ph)
        if not syllables:
            raise InputError('ph is empty; write it like ph="dian3 dang4"')
        written = "".join(c for c in text if is_han(c))
        if len(written) != len(syllables):
            raise InputError(f"ph has {len(syllables)} syllables for {len(written)} characters; give one for each")
        start = next(i for i, c in enumerate(text) if is_han(c))
        place = offset + start if offset is not None and text[start : start + len(written)] == written else None
        self.spans.append(Speech(written, frame.style, place, pinyin=syllables, whole=True))

    _OPENED: Mapping[str, Callable[["Grammar", Frame], None]] = {
        "speak": _speak, "voice": _voice, "prosody": _prosody, "emphasis": _emphasis, "express-as": _express_as,
        "emotion": _express_as, "style": _express_as, "break": _break, "silence": _silence, "mark": _mark,
        "bookmark": _mark, "audio": _audio, "sub": _collect, "w": _collect, "token": _collect, "word": _collect,
        "say-as": _collect, "phoneme": _collect, "p": lambda _self, _frame: None, "s": lambda _self, _frame: None,
        "paragraph": lambda _self, _frame: None, "sentence": lambda _self, _frame: None,
    }  # fmt: skip
    _CLOSED: Mapping[str, Callable[["Grammar", Frame], None]] = {
        "sub": _sub, "w": _word, "token": _word, "word": _word, "say-as": _say_as, "phoneme": _phoneme,
    }  # fmt: skip


def _collected(frame: Frame) -> tuple[str, int | None]:
    """Return an element's text, and where it stands; None if it does not stand in one piece."""
    text = "".join(piece for piece, _ in frame.pieces)
    start = frame.pieces[0][1] if frame.pieces else 0
    lengths = [0, *itertools.accumulate(len(piece) for piece, _ in frame.pieces)]
    whole = all(offset == start + length for (_, offset), length in zip(frame.pieces, lengths, strict=False))
    return text, start if whole else None
