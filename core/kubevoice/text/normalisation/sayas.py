"""What `<say-as>` of SSML asks for: the union of what the W3C's note and the vendors name."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from kubevoice.errors import InputError
from kubevoice.text.normalisation import dates, identifiers
from kubevoice.text.normalisation.numbers import NUMBER, amount, cardinal, digits
from kubevoice.text.traced_text import TracedText

__all__ = ["KINDS", "say_as"]

PUNCTUATION = {
    "，": "逗号",
    "。": "句号",
    "！": "感叹号",
    "？": "问号",
    "；": "分号",
    "：": "冒号",
    "、": "顿号",
    ",": "逗号",
    ".": "点",
    "!": "感叹号",
}
UNREAD = " \t,-"


def _wrong(kind: str, text: str, example: str) -> InputError:
    return InputError(f"{text[:40]!r} cannot be read as {kind}; write it like {example}")


def _matched(pattern: str, kind: str, text: str, example: str) -> re.Match[str]:
    """Match a whole text; InputError with an example if it is nothing of the kind."""
    found = re.fullmatch(rf"\s*{pattern}\s*", text, re.ASCII | re.IGNORECASE)
    if found is None:
        raise _wrong(kind, text, example)
    return found


def _cardinal(text: str, _format: str) -> str:
    found = _matched(rf"([-−+]?{NUMBER})", "a cardinal", text, "1234")
    return amount(found[1])


def _ordinal(text: str, _format: str) -> str:
    found = _matched(r"第?(\d{1,16})", "an ordinal", text, "3")
    return f"第{cardinal(found[1])}"


def _digits(text: str, _format: str) -> str:
    if not re.search(r"\d", text, re.ASCII):
        raise _wrong("digits", text, "2024")
    return "".join(digits(c) if c in "0123456789" else "点" if c == "." else c for c in text if c not in UNREAD)


def _telephone(text: str, _format: str) -> str:
    if not re.search(r"\d", text, re.ASCII):
        raise _wrong("a telephone number", text, "010-6403-5547")
    return "".join(
        digits(c, "幺") if c in "0123456789" else "加" if c == "+" else "" if c in "-()（） " else c for c in text
    )


def _characters(text: str, _format: str) -> str:
    return "".join(
        digits(c) if c in "0123456789" else identifiers.SIGNS.get(c) or PUNCTUATION.get(c, c)
        for c in text.upper()
        if not c.isspace()
    )


def _date(text: str, form: str) -> str:
    figures = re.findall(r"\d+", text)
    form = {"yyyymmdd": "ymd"}.get(form.lower(), form.lower()) or {3: "ymd", 2: "md", 1: "y"}.get(len(figures), "")
    if len(figures) == 1 and len(figures[0]) == 8 and form == "ymd":
        figures = [figures[0][:4], figures[0][4:6], figures[0][6:]]
    if not re.fullmatch("[ymd]{1,3}", form) or len(form) != len(figures) or len(set(form)) != len(form):
        raise _wrong(f"a date ({form or 'ymd'})", text, "2024-05-01")
    part = dict(zip(form, figures, strict=True))
    verbalized = dates.year(part["y"]) if "y" in part else ""
    if ("m" in part and not 1 <= int(part["m"]) <= 12) or ("d" in part and not 1 <= int(part["d"]) <= 31):
        raise _wrong(f"a date ({form})", text, "2024-05-01")
    verbalized += f"{cardinal(str(int(part['m'])))}月" if "m" in part else ""
    return verbalized + (f"{cardinal(str(int(part['d'])))}日" if "d" in part else "")


def _time(text: str, _format: str) -> str:
    found = _matched(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?\s*(?:([ap])\.?m\.?)?", "a time", text, "14:30")
    if int(found[1]) > 24:
        raise _wrong("a time", text, "14:30")
    return dates.clock(found[1], found[2], found[3], found[4])


def _duration(text: str, form: str) -> str:
    figures = _matched(r"(\d{1,4})(?::([0-5]?\d))?(?::([0-5]?\d))?", "a duration", text, "1:30:00")
    names = {"h": "小时", "m": "分钟", "s": "秒"}
    count = sum(part is not None for part in figures.groups())
    units = re.findall("[hms]", form.lower()) or ["h", "m", "s"][-count:]
    if len(units) != count:
        raise _wrong(f"a duration ({form})", text, "1:30:00")
    parts = zip(figures.groups()[:count], units, strict=True)
    return (
        "".join(f"{amount(str(int(part or 0)))}{names[unit]}" for part, unit in parts if int(part or 0))
        or f"零{names[units[-1]]}"
    )


def _fraction(text: str, _format: str) -> str:
    found = _matched(r"(?:(\d{1,9})[+又 ])?\s*([-−]?\d{1,9})/(\d{1,9})", "a fraction", text, "3/4")
    return (f"{amount(found[1])}又" if found[1] else "") + f"{amount(found[3])}分之{amount(found[2])}"


def _guessed(text: str, _format: str) -> str:
    from kubevoice.text.normalisation import normalise

    return normalise(TracedText.from_input(text)).text


def _score(text: str, _format: str) -> str:
    found = _matched(r"(\d{1,4})\s*[:：\-]\s*(\d{1,4})", "a score", text, "3:2")
    return f"{cardinal(found[1])}比{cardinal(found[2])}"


def _as_written(text: str, _format: str) -> str:
    return text


def _punctuation(text: str, _format: str) -> str:
    return "".join(PUNCTUATION.get(c) or identifiers.SIGNS.get(c, c) for c in text)


KINDS: Mapping[str, Callable[[str, str], str]] = MappingProxyType(
    {
        **dict.fromkeys(("cardinal", "number"), _cardinal),
        "ordinal": _ordinal,
        **dict.fromkeys(("digits", "number_digit", "number-digit"), _digits),
        **dict.fromkeys(("characters", "character", "spell-out", "verbatim", "letters", "id"), _characters),
        **dict.fromkeys(("telephone", "phone"), _telephone),
        "date": _date,
        "time": _time,
        "duration": _duration,
        "fraction": _fraction,
        "score": _score,
        "punctuation": _punctuation,
        **dict.fromkeys(("currency", "unit", "measure", "address"), _guessed),
        **dict.fromkeys(("name", "nick", "expletive"), _as_written),
    }
)
"""How each kind is read; each takes the text and the format, "" if there is none."""


def say_as(kind: str, text: str, form: str = "") -> str:
    """Return the words for `text` read as a `kind` of `KINDS`; KeyError for another kind.

    `form` is SSML's format: ymd, mdy and so on for dates, hms for durations. Raises InputError if the text is nothing
    of the kind.
    """
    return KINDS[kind.lower()](text, form)
