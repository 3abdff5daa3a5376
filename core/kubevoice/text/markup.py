"""Markup in plain text: what language models and web pages write for the eye becomes the words alone.

Markdown by CommonMark (https://spec.commonmark.org) with the tables and strikethrough of GitHub, tags of HTML and SSML,
and character references. The words keep their places in the input.
"""

import html
import re
from collections.abc import Iterator

from kubevoice.text.ssml.spans import Notice
from kubevoice.text.traced_text import TracedText

__all__ = ["find_tags", "strip_markup"]

MOST_NOTICES = 20

NOTHING_TO_DO = re.compile(r"[^#*_`~\[\]<>&|$+=\-•.)]*")
TAGS = (
    "a|abbr|audio|b|big|blockquote|body|br|center|cite|code|dd|del|details|div|dl|dt|em|figure|font|footer|form|h[1-6]|head|header|"
    "hr|html|i|img|input|ins|kbd|label|li|link|main|mark|meta|nav|ol|p|pre|q|s|samp|section|small|span|strike|strong|style|sub|"
    "summary|sup|svg|table|tbody|td|tfoot|th|thead|title|tr|tt|u|ul|var|video|"
    "speak|voice|prosody|emphasis|say-as|phoneme|bookmark|lexicon|w|token|paragraph|sentence|mstts:[a-z-]+|think|answer|silence"
)
ATTRIBUTES = r"""(?:\s+[\w:-]{1,40}(?:\s*=\s*(?:"[^"<>]{0,500}"|'[^'<>]{0,500}'|[^\s"'<>]{1,500}))?){0,12}\s*/?>"""
BLOCK = "p|div|li|tr|h[1-6]|blockquote|br|hr|table|ul|ol|pre|section"
FLAGS = re.IGNORECASE | re.ASCII | re.MULTILINE
CODE = (
    re.compile(r"^ {0,3}(?=(`{3,}|~{3,}))\1[^\n`]*\n((?:.*\n)*?) {0,3}\1[`~]*[ \t]*$", FLAGS),
    re.compile(r"^ {0,3}(?:`{3,}|~{3,})[^\n`]*((?:\n.*)*)\Z", FLAGS),
)
"""Fenced code, and such that does not end; the last group has the code."""
REMOVED = tuple(
    re.compile(pattern, FLAGS)
    for pattern in (
        r"<!--(?:[^-]|-(?!->)){0,5000}-->",
        r"<(script|style)\b[^<>]{0,500}>[^<]{0,5000}</\1\s*>",
        r"^ {0,3}\[[^\]\n]{1,100}\]:\s*\S{1,500}[^\n]*$",  # the target of a reference
        r"\[\^[\w-]{1,40}\]:?|【\d+†[^】\n]{0,100}】",
        r"^[ \t]*(?:(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|(?:-[ \t]*){3,}|={3,})$",  # a rule, an underline of a heading
        r"^[ \t]*\|?(?:[ \t]*:?-{3,}:?[ \t]*\|)+[ \t]*(?::?-{3,}:?)?[ \t]*$",  # below the head of a table
    )
)
UNWRAPPED = tuple(
    re.compile(pattern, FLAGS)
    for pattern in (
        r"^ {0,3}#{1,6}[ \t]+([^\n]*?)[ \t]*#*[ \t]*$",
        r"^[ \t]*+(?:>[ \t]*+)++(?![\d.])()",
        r"^[ \t]*[-*+•][ \t]+(?:\[[ x]\][ \t]+)?()(?=\S)",
        r"!?\[([^\[\]\n]{0,500})\]\((?:[^()\s]|\([^()\s]{0,200}\)){0,1000}(?:\s+[\"'][^\"'\n]{0,300}[\"'])?\)",
        r"\[([^\[\]\n]{1,500})\]\[[^\[\]\n]{0,100}\]",
        r"(?<!`)`{1,2}([^`\n]{1,500})`{1,2}(?!`)",
        r"\*\*\*(?=[^\s*])([^*\n]{1,500}?)\*\*\*",
        r"\*\*(?=[^\s*])([^\n]{1,500}?)(?<=[^\s*])\*\*",
        r"(?<![\w])__(?=\S)([^\n]{1,500}?)(?<=\S)__(?!\w)",
        r"~~(?=\S)([^~\n]{1,500}?)~~",
        r"(?<![0-9A-Za-z*)）按拨入])\*(?=[^\s*])(?!号?键|\d*#)([^*\n]{1,500}?)(?<=\S)\*(?![0-9A-Za-z*(（])",
        r"(?<![0-9A-Za-z_])_(?=[^\s_])([^_\n]{1,500}?)(?<=\S)_(?![0-9A-Za-z_])",
        r"(?<![\d*])#(?!\d+#)([^#\s，。！？]{1,30})#(?!键)",  # a topic of Weibo
        r"(?<![0-9A-Za-z#])#(?=[一-鿿])(?!键|号(?![外召称角]))()",
        r"^[ \t]*\|[ \t]*([^\n]*?)[ \t]*\|[ \t]*$",
    )
)
BREAK = re.compile(rf"<break\b{ATTRIBUTES}", FLAGS)
BLOCK_TAG = re.compile(rf"</?(?:{BLOCK})(?:{ATTRIBUTES}|\s*/?>)", FLAGS)
TAG = re.compile(rf"</?([a-z][\w:.-]{{0,40}})(?:{ATTRIBUTES}|\s*/?>)", FLAGS)
KNOWN_TAG = re.compile(TAGS, FLAGS)
END_TAG = re.compile(r"</([a-z][\w:.-]{0,40})\s*>", FLAGS)
REFERENCE = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|mdash|ndash|hellip|middot|ldquo|rdquo|#\d{1,7}|#x[0-9a-f]{1,6});", FLAGS
)
ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$", FLAGS)
BETWEEN_CELLS = re.compile(r"(?<=[^\s|])[ \t]*\|[ \t]*(?=[^\s|])", FLAGS)
NUMBERED = re.compile(r"(?<=^\d)([.)])[ \t]+(?=[^\d\s])|(?<=^\d\d)([.)])[ \t]+(?=[^\d\s])", FLAGS)


def _join_cells(traced: TracedText) -> TracedText:
    """Return a text with pauses between the cells of its tables."""
    parts, at = [], 0
    for row in ROW.finditer(traced.text):
        parts += [traced[at : row.start()], traced[row.start() : row.end()].sub(BETWEEN_CELLS, lambda _match: "，")]
        at = row.end()
    return TracedText.join([*parts, traced[at:]]) if parts else traced


def _iter_tags(text: str) -> Iterator[re.Match[str]]:
    """Yield the tags of a text: those with a known name, with an end tag, or with a slash; a<b> is none."""
    ended = {name.lower() for name in END_TAG.findall(text)}
    for match in TAG.finditer(text):
        if KNOWN_TAG.fullmatch(match[1]) or match[1].lower() in ended or match[0].endswith("/>"):
            yield match


def _remove_tags(traced: TracedText) -> TracedText:
    parts, at = [], 0
    for tag in _iter_tags(traced.text):
        parts.append(traced[at : tag.start()])
        at = tag.end()
    return TracedText.join([*parts, traced[at:]]) if parts else traced


def _remove_hidden(traced: TracedText, *, keep_code: bool) -> TracedText:
    for pattern in CODE:
        traced = traced.unwrap(pattern) if keep_code else traced.sub(pattern, lambda _match: "")
    for pattern in REMOVED:
        traced = traced.sub(pattern, lambda _match: "")
    return traced


def find_tags(text: str, *, keep_code: bool = False) -> tuple[Notice, ...]:
    """Return a notice for each kind of tag that a plain text has, and that is silent.

    Parameters
    ----------
    text
        The input.
    keep_code
        Whether the text of fenced code is read, too.

    Returns
    -------
    tuple[Notice, ...]
        At most MOST_NOTICES, each with the name of the tag and the place where it is first, which counts from 1.
    """
    if "<" not in text or ">" not in text:
        return ()
    traced = _remove_hidden(TracedText.from_input(text), keep_code=keep_code)
    notices: dict[str, Notice] = {}
    for tag in _iter_tags(traced.text):
        name = tag[1].lower()
        begin = traced.origins[tag.start()] or 0
        place = text.count("\n", 0, begin) + 1, begin - text.rfind("\n", 0, begin)
        effect = "is read as a short pause" if name == "break" else "is passed over"
        message = f"tag <{name}> {effect}; tags count in SSML alone, a document in <speak>...</speak>"
        notices.setdefault(name, Notice(message, *place))
    return tuple(notices.values())[:MOST_NOTICES]


def strip_markup(traced: TracedText, *, keep_code: bool = False) -> TracedText:
    """Return the words of a text without its markup.

    Fenced code, comments and the targets of links are left out. A break, a cell and the number of a list become pauses,
    a block's tag ends the line.

    Parameters
    ----------
    traced
        The input.
    keep_code
        Whether the text of fenced code stays.

    Returns
    -------
    TracedText
        The words, each character with its place in the input.
    """
    if NOTHING_TO_DO.fullmatch(traced.text):
        return traced
    traced = _join_cells(_remove_hidden(traced, keep_code=keep_code))
    for pattern in UNWRAPPED:
        traced = traced.unwrap(pattern)
    traced = traced.sub(NUMBERED, lambda _match: "、")
    traced = _remove_tags(traced.sub(BREAK, lambda _match: "，").sub(BLOCK_TAG, lambda _match: "\n"))
    return traced.sub(REFERENCE, lambda match: html.unescape(match[0]))
