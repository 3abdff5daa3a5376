"""Small plots as inline SVG, coloured by the page's style sheet so that they follow light and dark."""

from collections.abc import Sequence

import numpy as np

from kubevoice_training.pages.html import text

__all__ = ["bars", "dots", "histogram"]

WIDTH, HEIGHT, FOOT, TOP = 320, 130, 20, 12
MOST_DOTS = 500
"""A row of more is thinned evenly."""


def _figure(caption: str, shapes: Sequence[str], height: int = HEIGHT) -> str:
    drawing = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(caption)}">{"".join(shapes)}</svg>'
    return f"<figure><figcaption>{text(caption)}</figcaption>{drawing}</figure>"


def _label(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def histogram(caption: str, values: Sequence[float], bins: int = 24) -> str:
    """Return how often values occur."""
    low, high = _range(values)
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    floor, room = HEIGHT - FOOT, HEIGHT - FOOT - TOP
    shapes = []
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        x1, x2 = (10 + (edge - low) / (high - low) * (WIDTH - 20) for edge in (left, right))
        tall = room * count / counts.max()
        place = f'x="{x1:.1f}" y="{floor - tall:.1f}" width="{x2 - x1 - 1:.1f}" height="{tall:.1f}"'
        shapes.append(f'<rect {place} class="bar"><title>{left:.3g} to {right:.3g}: {count}</title></rect>')
    shapes.append(_line(5, floor, WIDTH - 5, floor, "axis"))
    shapes += _ticks(low, high, 10, WIDTH - 10, HEIGHT - 5)
    shapes.append(_label(WIDTH - 10, TOP - 2, f"highest bar: {counts.max()}", "end"))
    return _figure(caption, shapes)


def dots(caption: str, rows: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> str:
    """Return a dot for each value, a row for each (name, values, those that lie apart)."""
    low, high = _range([value for _, plain, apart in rows for value in (*plain, *apart)])
    start, end, step = 96, WIDTH - 14, 30
    height = step * len(rows) + FOOT + 4
    shapes = []
    for number, (name, plain, apart) in enumerate(rows):
        middle = number * step + 16
        shapes += [_line(start, middle, end, middle, "axis"), _label(start - 10, middle + 4, _short(name), "end")]
        for kind, values in (("dot", plain), ("dot apart", apart)):
            for i, value in enumerate(_thinned(values)):
                # A fixed scatter up and down, by the golden ratio, keeps dots from hiding each other.
                x, y = start + (value - low) / (high - low) * (end - start), middle + (i * 0.618 % 1.0 - 0.5) * 18
                shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" class="{kind}"/>')
    return _figure(caption, shapes + _ticks(low, high, start, end, height - 5), height)


def _thinned(values: Sequence[float]) -> Sequence[float]:
    return values[:: -(-len(values) // MOST_DOTS) or 1]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float, start: float, end: float, y: float) -> list[str]:
    places = np.linspace(0.0, 1.0, 5)
    return [_label(start + p * (end - start), y, f"{low + p * (high - low):.3g}") for p in places]


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"


def bars(caption: str, rows: Sequence[tuple[str, float]], limit: float | None = None) -> str:
    """Return a horizontal bar for each (name, value of zero or more); `limit` is drawn as a dashed line."""
    longest = max([value for _, value in rows] + ([limit] if limit else [])) or 1.0
    start, end, step = 96, WIDTH - 44, 22

    def x(value: float) -> float:
        return start + value / longest * (end - start)

    height = step * len(rows) + 8
    shapes = []
    for number, (name, value) in enumerate(rows):
        y = number * step + 6
        place = f'x="{start}" y="{y}" width="{x(value) - start:.1f}" height="14"'
        shapes.append(f'<rect {place} class="bar"><title>{text(name)}: {value:.3g}</title></rect>')
        shapes.append(_label(start - 6, y + 11, _short(name), "end"))
        shapes.append(_label(x(value) + 5, y + 11, f"{value:.3g}", "start"))
    if limit is not None:
        shapes.append(_line(x(limit), 2, x(limit), height, "limit"))
    return _figure(caption, shapes, height)
