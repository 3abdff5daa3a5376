"""The kinds of SSML's `<say-as>`: those of the W3C's note and of the vendors."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from kubevoice.errors import InputError
from kubevoice.text.normalisation import dates, identifiers
from kubevoice.text.normalisation.numbers import NUMBER, read_amount, read_cardinal, read_digits
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


def _make_error(kind: str, text: str, example: str) -> InputError:
    return InputError(f"{text[:40]!r} cannot be read as {kind}; write it like {example}")


def _match(pattern: str, kind: str, text: str, example: str) -> re.Match[str]:
    """Match the complete text; InputError with an example if it is not of the kind."""
    match = re.fullmatch(rf"\s*{pattern}\s*", text, re.ASCII | re.IGNORECASE)
    if match is None:
        raise _make_error(kind, text, example)
    return match


def _read_as_cardinal(text: str, _format: str) -> str:
    match = _match(rf"([-−+]?{NUMBER})", "a cardinal", text, "1234")
    return read_amount(match[1])


def _read_as_ordinal(text: str, _format: str) -> str:
    match = _match(r"第?(\d{1,16})", "an ordinal", text, "3")
    return f"第{read_cardinal(match[1])}"


def _read_as_digits(text: str, _format: str) -> str:
    if not re.search(r"\d", text, re.ASCII):
        raise _make_error("digits", text, "2024")
    return "".join(read_digits(c) if c in "0123456789" else "点" if c == "." else c for c in text if c not in UNREAD)


def _read_as_telephone(text: str, _format: str) -> str:
    if not re.search(r"\d", text, re.ASCII):
        raise _make_error("a telephone number", text, "010-6403-5547")
    return "".join(
        read_digits(c, "幺") if c in "0123456789" else "加" if c == "+" else "" if c in "-()（） " else c for c in text
    )


def _read_as_characters(text: str, _format: str) -> str:
    return "".join(
        read_digits(c) if c in "0123456789" else identifiers.SIGNS.get(c) or PUNCTUATION.get(c, c)
        for c in text.upper()
        if not c.isspace()
    )


def _read_as_date(text: str, form: str) -> str:
    numbers = re.findall(r"\d+", text)
    form = {"yyyymmdd": "ymd"}.get(form.lower(), form.lower()) or {3: "ymd", 2: "md", 1: "y"}.get(len(numbers), "")
    if len(numbers) == 1 and len(numbers[0]) == 8 and form == "ymd":
        numbers = [numbers[0][:4], numbers[0][4:6], numbers[0][6:]]
    if not re.fullmatch("[ymd]{1,3}", form) or len(form) != len(numbers) or len(set(form)) != len(form):
        raise _make_error(f"a date ({form or 'ymd'})", text, "2024-05-01")
    part = dict(zip(form, numbers, strict=True))
    verbalized = dates.read_year(part["y"]) if "y" in part else ""
    if ("m" in part and not 1 <= int(part["m"]) <= 12) or ("d" in part and not 1 <= int(part["d"]) <= 31):
        raise _make_error(f"a date ({form})", text, "2024-05-01")
    verbalized += f"{read_cardinal(str(int(part['m'])))}月" if "m" in part else ""
    return verbalized + (f"{read_cardinal(str(int(part['d'])))}日" if "d" in part else "")


def _read_as_time(text: str, _format: str) -> str:
    match = _match(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?\s*(?:([ap])\.?m\.?)?", "a time", text, "14:30")
    if int(match[1]) > 24:
        raise _make_error("a time", text, "14:30")
    return dates.read_clock(match[1], match[2], match[3], match[4])


def _read_as_duration(text: str, form: str) -> str:
    match = _match(r"(\d{1,4})(?::([0-5]?\d))?(?::([0-5]?\d))?", "a duration", text, "1:30:00")
    names = {"h": "小时", "m": "分钟", "s": "秒"}
    count = sum(part is not None for part in match.groups())
    units = re.findall("[hms]", form.lower()) or ["h", "m", "s"][-count:]
    if len(units) != count:
        raise _make_error(f"a duration ({form})", text, "1:30:00")
    parts = zip(match.groups()[:count], units, strict=True)
    return (
        "".join(f"{read_amount(str(int(part or 0)))}{names[unit]}" for part, unit in parts if int(part or 0))
        or f"零{names[units[-1]]}"
    )


def _read_as_fraction(text: str, _format: str) -> str:
    match = _match(r"(?:(\d{1,9})[+又 ])?\s*([-−]?\d{1,9})/(\d{1,9})", "a fraction", text, "3/4")
    return (f"{read_amount(match[1])}又" if match[1] else "") + f"{read_amount(match[3])}分之{read_amount(match[2])}"


def _detect(text: str, _format: str) -> str:
    """Read the text by the normalisation rules, which find out its kind."""
    from kubevoice.text.normalisation import normalise

    return normalise(TracedText.from_input(text)).text


def _read_as_score(text: str, _format: str) -> str:
    match = _match(r"(\d{1,4})\s*[:：\-]\s*(\d{1,4})", "a score", text, "3:2")
    return f"{read_cardinal(match[1])}比{read_cardinal(match[2])}"


def _read_as_written(text: str, _format: str) -> str:
    return text


def _read_as_punctuation(text: str, _format: str) -> str:
    return "".join(PUNCTUATION.get(c) or identifiers.SIGNS.get(c, c) for c in text)


KINDS: Mapping[str, Callable[[str, str], str]] = MappingProxyType(
    {
        **dict.fromkeys(("cardinal", "number"), _read_as_cardinal),
        "ordinal": _read_as_ordinal,
        **dict.fromkeys(("digits", "number_digit", "number-digit"), _read_as_digits),
        **dict.fromkeys(("characters", "character", "spell-out", "verbatim", "letters", "id"), _read_as_characters),
        **dict.fromkeys(("telephone", "phone"), _read_as_telephone),
        "date": _read_as_date,
        "time": _read_as_time,
        "duration": _read_as_duration,
        "fraction": _read_as_fraction,
        "score": _read_as_score,
        "punctuation": _read_as_punctuation,
        **dict.fromkeys(("currency", "unit", "measure", "address"), _detect),
        **dict.fromkeys(("name", "nick", "expletive"), _read_as_written),
    }
)
"""How each kind is read; each takes the text and the format, "" if there is none."""


def say_as(kind: str, text: str, form: str = "") -> str:
    """Return the words for a text that is read as a kind.

    Parameters
    ----------
    kind
        A key of `KINDS`.
    text
        The text.
    form
        SSML's format: ymd, mdy and so on for dates, hms for durations; "" if there is none.

    Returns
    -------
    str
        Chinese words.

    Raises
    ------
    KeyError
        If there is no such kind.
    InputError
        If the text is not of the kind.
    """
    return KINDS[kind.lower()](text, form)
