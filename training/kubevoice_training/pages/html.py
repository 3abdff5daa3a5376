"""The frame of a page. Whatever comes from outside goes through `text`."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

__all__ = [
    "escape_text",
    "render_badge",
    "render_details",
    "render_document",
    "render_section",
    "render_table",
    "render_tiles",
]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
"""Should a hole be left after all, no script runs and nothing is fetched."""


def escape_text(value: object) -> str:
    """Escape text for HTML, in elements and in attributes.

    Parameters
    ----------
    value
        Any value; its string is escaped.

    Returns
    -------
    str
        Text that a browser shows as it is.
    """
    return escape(str(value), quote=True)


def render_document(title: str, body: Iterable[str]) -> str:
    """Render a complete page with its style sheet.

    Parameters
    ----------
    title
        Text.
    body
        HTML.

    Returns
    -------
    str
        HTML.
    """
    style = (resources.files("kubevoice_training.pages") / "page.css").read_text(encoding="utf-8")
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape_text(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape_text(title)}</title>\n<style>\n{style}</style></head>\n<body><main>\n"
    )
    return head + "\n".join(body) + "\n</main></body></html>\n"


def render_section(title: str, *parts: str) -> str:
    """Render a section with a heading.

    Parameters
    ----------
    title
        Text.
    parts
        HTML.

    Returns
    -------
    str
        HTML.
    """
    return f"<section><h2>{escape_text(title)}</h2>\n" + "\n".join(parts) + "</section>"


def render_badge(label: str, kind: str) -> str:
    """Render a coloured label.

    Parameters
    ----------
    label
        Text.
    kind
        good, bad or plain.

    Returns
    -------
    str
        HTML.
    """
    return f'<span class="badge {escape_text(kind)}">{escape_text(label)}</span>'


def render_tiles(counts: Sequence[tuple[str, str]]) -> str:
    """Render numbers, each over its label.

    Parameters
    ----------
    counts
        Number and label of each tile, as text.

    Returns
    -------
    str
        HTML.
    """
    items = "".join(
        f"<div><b>{escape_text(count)}</b><span>{escape_text(label)}</span></div>" for count, label in counts
    )
    return f'<div class="tiles">{items}</div>'


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: Sequence[int] = (0,)) -> str:
    """Render a table.

    Parameters
    ----------
    head
        Titles of the columns, as text.
    rows
        Cells, as HTML.
    words
        Indices of the columns of words, which are aligned left; the others are aligned right.

    Returns
    -------
    str
        HTML.
    """
    sides = ["word" if i in words else "number" for i in range(len(head))]
    top = "".join(f'<th class="{side}">{escape_text(name)}</th>' for name, side in zip(head, sides, strict=True))
    body = "".join(
        "<tr>" + "".join(f'<td class="{s}">{cell}</td>' for cell, s in zip(row, sides, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table></div>'


def render_details(summary: str, lines: Sequence[str]) -> str:
    """Render a sentence, and lines that can be unfolded below it.

    Parameters
    ----------
    summary
        Text.
    lines
        Text; may be empty.

    Returns
    -------
    str
        HTML.
    """
    if not lines:
        return f"<p>{escape_text(summary)}</p>"
    items = "".join(f"<li>{escape_text(line)}</li>" for line in lines)
    return f"<details><summary>{escape_text(summary)}</summary><ul>{items}</ul></details>"
