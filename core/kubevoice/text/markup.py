"""Markup in plain text: what language models and web pages write for the eye becomes the words alone.

Markdown by CommonMark (https://spec.commonmark.org) with the tables and strikethrough of GitHub, tags of HTML and SSML,
and character references. The words keep their places in the input.
"""

import html
import re

from kubevoice.text.traced_text import TracedText

__all__ = ["strip_markup"]

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
REMOVED = tuple(
    re.compile(pattern, FLAGS)
    for pattern in (
        r"^ {0,3}(`{3,}|~{3,})[^\n`]*\n(?:.*\n)*? {0,3}\1[`~]*[ \t]*$",  # fenced code
        r"^ {0,3}(?:`{3,}|~{3,})[^\n`]*(?:\n.*)*\Z",  # and such that does not end
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
        r"(?<![0-9A-Za-z*)）])\*(?=[^\s*])([^*\n]{1,500}?)(?<=\S)\*(?![0-9A-Za-z*(（])",
        r"(?<![0-9A-Za-z_])_(?=[^\s_])([^_\n]{1,500}?)(?<=\S)_(?![0-9A-Za-z_])",
        r"#([^#\s，。！？]{1,30})#",  # a topic of Weibo
        r"(?<![0-9A-Za-z#])#(?=[一-鿿])()",
        r"^[ \t]*\|[ \t]*([^\n]*?)[ \t]*\|[ \t]*$",
    )
)
BREAK = re.compile(rf"<break\b{ATTRIBUTES}", FLAGS)
BLOCK_TAG = re.compile(rf"</?(?:{BLOCK})(?:{ATTRIBUTES}|\s*/?>)", FLAGS)
TAG = re.compile(rf"</?(?:{TAGS})(?:{ATTRIBUTES}|\s*/?>)", FLAGS)
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


def strip_markup(text: str) -> TracedText:
    """Return the words of a text without its markup.

    Fenced code, comments and the targets of links are left out. A break, a cell and the number of a list become pauses,
    a block's tag ends the line.

    Parameters
    ----------
    text
        The input.

    Returns
    -------
    TracedText
        The words, each character with its place in the input.
    """
    traced = TracedText.from_input(text)
    if NOTHING_TO_DO.fullmatch(text):
        return traced
    for pattern in REMOVED:
        traced = traced.sub(pattern, lambda _match: "")
    traced = _join_cells(traced)
    for pattern in UNWRAPPED:
        traced = traced.unwrap(pattern)
    traced = traced.sub(NUMBERED, lambda _match: "、")
    traced = traced.sub(BREAK, lambda _match: "，").sub(BLOCK_TAG, lambda _match: "\n").sub(TAG, lambda _match: "")
    return traced.sub(REFERENCE, lambda match: html.unescape(match[0]))
