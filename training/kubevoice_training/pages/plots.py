"""Small plots as inline SVG, coloured by the page's style sheet so that they follow light and dark."""

from collections.abc import Sequence

import numpy as np

from kubevoice_training.pages.html import escape_text

__all__ = ["render_bars", "render_dots", "render_histogram"]

WIDTH, HEIGHT, FOOT, TOP = 320, 130, 20, 12
MOST_DOTS = 500
"""A row of more is thinned evenly."""


def _render_figure(caption: str, shapes: Sequence[str], height: int = HEIGHT) -> str:
    drawing = (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape_text(caption)}">{"".join(shapes)}</svg>'
    )
    return f"<figure><figcaption>{escape_text(caption)}</figcaption>{drawing}</figure>"


def _render_label(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape_text(words)}</text>'


def _render_line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def render_histogram(caption: str, values: Sequence[float], bins: int = 24) -> str:
    """Render a histogram.

    Parameters
    ----------
    caption
        Text.
    values
        At least one value.
    bins
        Number of bars.

    Returns
    -------
    str
        HTML with an SVG.
    """
    low, high = _find_range(values)
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    floor, room = HEIGHT - FOOT, HEIGHT - FOOT - TOP
    shapes = []
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        x1, x2 = (10 + (edge - low) / (high - low) * (WIDTH - 20) for edge in (left, right))
        tall = room * count / counts.max()
        place = f'x="{x1:.1f}" y="{floor - tall:.1f}" width="{x2 - x1 - 1:.1f}" height="{tall:.1f}"'
        shapes.append(f'<rect {place} class="bar"><title>{left:.3g} to {right:.3g}: {count}</title></rect>')
    shapes.append(_render_line(5, floor, WIDTH - 5, floor, "axis"))
    shapes += _render_ticks(low, high, 10, WIDTH - 10, HEIGHT - 5)
    shapes.append(_render_label(WIDTH - 10, TOP - 2, f"highest bar: {counts.max()}", "end"))
    return _render_figure(caption, shapes)


def render_dots(caption: str, rows: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> str:
    """Render a row of dots for each group of values.

    Parameters
    ----------
    caption
        Text.
    rows
        Name, ordinary values and outliers of each row; there is at least one value.

    Returns
    -------
    str
        HTML with an SVG.
    """
    low, high = _find_range([value for _, plain, outliers in rows for value in (*plain, *outliers)])
    start, end, step = 96, WIDTH - 14, 30
    height = step * len(rows) + FOOT + 4
    shapes = []
    for number, (name, plain, outliers) in enumerate(rows):
        middle = number * step + 16
        shapes += [
            _render_line(start, middle, end, middle, "axis"),
            _render_label(start - 10, middle + 4, _shorten(name), "end"),
        ]
        for kind, values in (("dot", plain), ("dot apart", outliers)):
            for i, value in enumerate(_thin_out(values)):
                # A fixed scatter up and down, by the golden ratio, keeps dots from hiding each other.
                x, y = start + (value - low) / (high - low) * (end - start), middle + (i * 0.618 % 1.0 - 0.5) * 18
                shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" class="{kind}"/>')
    return _render_figure(caption, shapes + _render_ticks(low, high, start, end, height - 5), height)


def _thin_out(values: Sequence[float]) -> Sequence[float]:
    return values[:: -(-len(values) // MOST_DOTS) or 1]


def _find_range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _render_ticks(low: float, high: float, start: float, end: float, y: float) -> list[str]:
    places = np.linspace(0.0, 1.0, 5)
    return [_render_label(start + p * (end - start), y, f"{low + p * (high - low):.3g}") for p in places]


def _shorten(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"


def render_bars(caption: str, rows: Sequence[tuple[str, float]], limit: float | None = None) -> str:
    """Render a horizontal bar for each value.

    Parameters
    ----------
    caption
        Text.
    rows
        Name and value (0 or more) of each bar.
    limit
        Value that is drawn as a dashed line; None for no line.

    Returns
    -------
    str
        HTML with an SVG.
    """
    longest = max([value for _, value in rows] + ([limit] if limit else [])) or 1.0
    start, end, step = 96, WIDTH - 44, 22

    def x(value: float) -> float:
        return start + value / longest * (end - start)

    height = step * len(rows) + 8
    shapes = []
    for number, (name, value) in enumerate(rows):
        y = number * step + 6
        place = f'x="{start}" y="{y}" width="{x(value) - start:.1f}" height="14"'
        shapes.append(f'<rect {place} class="bar"><title>{escape_text(name)}: {value:.3g}</title></rect>')
        shapes.append(_render_label(start - 6, y + 11, _shorten(name), "end"))
        shapes.append(_render_label(x(value) + 5, y + 11, f"{value:.3g}", "start"))
    if limit is not None:
        shapes.append(_render_line(x(limit), 2, x(limit), height, "limit"))
    return _render_figure(caption, shapes, height)
