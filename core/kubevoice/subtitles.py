"""Subtitles in SRT and WebVTT: the text as it was written, without markup, cut into lines of a screen."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from kubevoice.engine.timing import SentenceTime, Timing, WordTime
from kubevoice.text.front_end_config import FrontEndConfig, ReadingOptions
from kubevoice.text.inline_hints import parse_hints
from kubevoice.text.segment import CLOSERS, PAIRS, PAUSES, STOPS
from kubevoice.text.ssml import is_document
from kubevoice.text.ssml.spans import Speech

__all__ = ["LINE", "Cue", "build_cues", "render_subtitles", "to_json", "to_srt", "to_vtt"]

LINE = 20
"""Characters of a cue; only a word that is longer makes a longer one."""
MARKUP = re.compile(r"""<!--.*?-->|<!\[CDATA\[|\]\]>|<(?:"[^"]*"|'[^']*'|[^>"'])*>""", re.DOTALL)
HIDDEN = "\0"
"""Stands for each character of markup, so that offsets stay true; XML cannot contain it."""
BOUNDARY = re.compile(rf"[\r\n{HIDDEN}]")


@dataclass(frozen=True, slots=True)
class Cue:
    """A line and the seconds from and to which it is shown."""

    text: str
    start: float
    end: float


def build_cues(text: str, timing: Timing, *, ssml: bool = False, options: ReadingOptions | None = None) -> list[Cue]:
    """Split a speech into cues, at least one for each sentence.

    Parameters
    ----------
    text
        Plain text or SSML.
    timing
        When each word is spoken.
    ssml
        Whether `text` is SSML.
    options
        How the text was read; None for the defaults.

    Returns
    -------
    list of Cue
        In order, without overlap.
    """
    ssml = ssml or is_document(text)
    written = _hide_tags(text) if ssml else _hide_signs(text, options)
    strip: Callable[[str], str] = _strip_markup if ssml else _strip_hidden
    cues: list[Cue] = []
    begin = 0
    for number, sentence in enumerate(timing.sentences):
        following = timing.sentences[number + 1 :]
        end = _end(written, max(begin, sentence.finish or begin), following) if following else len(written)
        cues += _sentence_cues(sentence, written, begin, end, strip)
        begin = end
    return cues


def _hide_tags(text: str) -> str:
    return MARKUP.sub(lambda match: HIDDEN * len(match[0]), text)


def _hide_signs(text: str, options: ReadingOptions | None) -> str:
    """Hide the hints of a plain text and the signs of Markdown; line ends part sentences."""
    options = options or ReadingOptions()
    config = FrontEndConfig(hints=options.hints, keep_code=options.keep_code)  # signs need no lexicon
    spans = [span for span in parse_hints(text, config) if isinstance(span, Speech)]
    shown = {origin for span in spans for origin in span.origins or () if origin is not None}
    return "".join(char if at in shown or char in "\r\n" else HIDDEN for at, char in enumerate(text))


def _strip_hidden(text: str) -> str:
    return " ".join(text.replace(HIDDEN, "").split())


def _strip_markup(text: str) -> str:
    return _strip_hidden(html.unescape(text.replace(HIDDEN, "")))


def _end(written: str, position: int, following: Sequence[SentenceTime]) -> int:
    """Return where a sentence ends; figures between its last known position and the next sentence belong to either."""
    next_known = next((one.begin for one in following if one.begin is not None), position)
    ends = [match.end() for match in BOUNDARY.finditer(written, position, max(position, next_known))]
    return ends[-1] if ends else position


def _cuts(words: Sequence[WordTime], written: str, begin: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Yield where words part: which word follows, where that is in the text, and whether punctuation is there."""
    for number in range(1, len(words)):
        before, after = words[number - 1], words[number]
        if after.offset is not None:
            place = after.offset
            while place > begin and written[place - 1] in PAIRS:
                place -= 1
        elif before.offset is not None:
            offsets = [one.offset for one in before.characters if one.offset is not None]
            place = offsets[-1] + len(before.characters[-1].char) if offsets else before.offset + len(before.text)
            while place < end and written[place] in PAUSES + STOPS + CLOSERS:
                place += 1
        else:
            continue
        if begin < place < end:
            sign = written[begin:place].rstrip(HIDDEN + " ")[-1:]
            yield number, place, sign != "" and sign in PAUSES + STOPS + CLOSERS


def _sentence_cues(
    sentence: SentenceTime, written: str, begin: int, end: int, strip: Callable[[str], str]
) -> Iterator[Cue]:
    words = sentence.words
    cuts = list(_cuts(words, written, begin, end))
    first = 0
    while len(strip(written[begin:end])) > LINE and cuts:
        fitting = [cut for cut in cuts if len(strip(written[begin : cut[1]])) <= LINE] or cuts[:1]
        number, place, _ = ([cut for cut in fitting if cut[2]] or fitting)[-1]
        if line := strip(written[begin:place]):
            yield Cue(line, words[first].start, words[number - 1].end)
            first = number
        begin = place
        cuts = [cut for cut in cuts if cut[1] > place]
    yield Cue(strip(written[begin:end]) or _strip_hidden(sentence.text), words[first].start, words[-1].end)


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"


def to_srt(cues: Sequence[Cue]) -> str:
    """Write cues as SubRip.

    Parameters
    ----------
    cues
        In order.

    Returns
    -------
    str
        The file's text.
    """
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues, 1)
    )


def to_vtt(cues: Sequence[Cue]) -> str:
    """Write cues as WebVTT; `&`, `<` and `>` become entities.

    Parameters
    ----------
    cues
        In order.

    Returns
    -------
    str
        The file's text.
    """
    lines = (
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{html.escape(cue.text, quote=False)}\n" for cue in cues
    )
    return "WEBVTT\n" + "".join(lines)


def to_json(timing: Timing) -> str:
    """Write every time, in seconds.

    Parameters
    ----------
    timing
        When each word is spoken.

    Returns
    -------
    str
        JSON.
    """
    return json.dumps(asdict(timing), ensure_ascii=False)


WRITERS: Mapping[str, Callable[[Sequence[Cue]], str]] = {"srt": to_srt, "vtt": to_vtt}


def render_subtitles(
    kind: str, text: str, timing: Timing, *, ssml: bool = False, options: ReadingOptions | None = None
) -> str:
    """Write the times of a speech as a file.

    Parameters
    ----------
    kind
        json, srt or vtt.
    text
        Plain text or SSML.
    timing
        When each word is spoken.
    ssml
        Whether `text` is SSML.
    options
        How the text was read; None for the defaults.

    Returns
    -------
    str
        The file's text.
    """
    return to_json(timing) if kind == "json" else WRITERS[kind](build_cues(text, timing, ssml=ssml, options=options))
