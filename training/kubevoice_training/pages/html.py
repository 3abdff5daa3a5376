"""The frame of a page. Whatever comes from outside goes through `text`."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

__all__ = ["badge", "details", "document", "section", "table", "text", "tiles"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
"""Should a hole be left after all, no script runs and nothing is fetched."""


def text(value: object) -> str:
    """Return text that a browser shows as it is, in elements and in attributes."""
    return escape(str(value), quote=True)


def document(title: str, body: Iterable[str]) -> str:
    """Return a whole page; `body` is HTML."""
    style = (resources.files("kubevoice_training.pages") / "page.css").read_text(encoding="utf-8")
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(title)}</title>\n<style>\n{style}</style></head>\n<body><main>\n"
    )
    return head + "\n".join(body) + "\n</main></body></html>\n"


def section(title: str, *parts: str) -> str:
    """Return a part of a page under its heading; `parts` are HTML."""
    return f"<section><h2>{text(title)}</h2>\n" + "\n".join(parts) + "</section>"


def badge(label: str, kind: str) -> str:
    """Return a coloured word; `kind` is good, bad or plain."""
    return f'<span class="badge {text(kind)}">{text(label)}</span>'


def tiles(figures: Sequence[tuple[str, str]]) -> str:
    """Return figures, each over what it counts."""
    items = "".join(f"<div><b>{text(figure)}</b><span>{text(label)}</span></div>" for figure, label in figures)
    return f'<div class="tiles">{items}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: Sequence[int] = (0,)) -> str:
    """Return a table. Cells are HTML; columns in `words` are set left, as words are, the others right."""
    sides = ["word" if i in words else "number" for i in range(len(head))]
    top = "".join(f'<th class="{side}">{text(name)}</th>' for name, side in zip(head, sides, strict=True))
    body = "".join(
        "<tr>" + "".join(f'<td class="{s}">{cell}</td>' for cell, s in zip(row, sides, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table></div>'


def details(summary: str, lines: Sequence[str]) -> str:
    """Return a sentence, and lines that unfold below it."""
    if not lines:
        return f"<p>{text(summary)}</p>"
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<details><summary>{text(summary)}</summary><ul>{items}</ul></details>"
