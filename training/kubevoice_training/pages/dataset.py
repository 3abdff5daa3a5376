"""What `kubevoice dataset check --html` writes: a review of a dataset as a page."""

from collections.abc import Callable, Iterator

from kubevoice_training.evaluation.dataset_groups import DatasetGroup, MeasuredClip
from kubevoice_training.evaluation.dataset_review import ENOUGH_MINUTES, DatasetAdvice, DatasetReview
from kubevoice_training.pages.html import (
    escape_text,
    render_badge,
    render_details,
    render_document,
    render_section,
    render_table,
    render_tiles,
)
from kubevoice_training.pages.plots import render_bars, render_dots, render_histogram

__all__ = ["render_dataset_page"]

HEAD = ("emotion", "speaker", "clips", "minutes", "Hz", "LUFS", "clipped", "long pauses", "syllables/s", "outliers")
NOISE = ("speech", "background", "overall")
SHOWN_ROWS = 1000
"""Lines of one list: a page with every row of a huge broken dataset would open in no browser."""


def render_dataset_page(review: DatasetReview) -> str:
    """Render the review of a dataset. All text of the dataset is escaped.

    Parameters
    ----------
    review
        The review.

    Returns
    -------
    str
        HTML.
    """
    name = review.uri.rstrip("/").rsplit("/", 1)[-1]
    return render_document(f"{name}: dataset check", _render_parts(review, name))


def _render_parts(review: DatasetReview, name: str) -> Iterator[str]:
    result = (
        render_badge("can be trained on", "good") if review.trainable else render_badge("cannot be trained on", "bad")
    )
    yield f"<header><h1>{escape_text(name)}{result}</h1>"
    yield f'<p class="quiet">{escape_text(review.uri)}<br>{escape_text(review.digest)}</p>'
    yield render_tiles(
        [
            (f"{len(review.report.clips)}", "usable clips"),
            (f"{review.report.seconds / 60:.1f}", "minutes"),
            (f"{len({g.emotion for g in review.groups})}", "emotions"),
            (f"{len({g.speaker for g in review.groups})}", "speakers"),
            (f"{len(review.faults)}", "faults"),
            (f"{len(review.advice)}", "recommendations"),
        ]
    )
    yield "</header>"
    if review.faults:
        yield render_section("Faults: correct these first", _render_list(list(review.faults)))
    if review.groups:
        yield render_section("Emotions and speakers", _render_groups(review))
        yield render_section("At a glance", '<div class="plots">', *_render_plots(review), "</div>")
    if review.advice:
        yield render_section("Advice", *(_render_advice(item) for item in review.advice))


def _render_list(lines: list[str]) -> str:
    items = "".join(f"<li>{escape_text(line)}</li>" for line in lines[:SHOWN_ROWS])
    more = f"<p>and {len(lines) - SHOWN_ROWS} more</p>" if len(lines) > SHOWN_ROWS else ""
    return f"<ul>{items}</ul>{more}"


def _render_advice(item: DatasetAdvice) -> str:
    more = len(item.clips) - SHOWN_ROWS
    return render_details(item.message, [*item.clips[:SHOWN_ROWS], *([f"and {more} more"] if more > 0 else [])])


def _render_groups(review: DatasetReview) -> str:
    labels = "; ".join(f"{label} → {emotion}" for label, emotion in review.replaced_labels.items())
    meanings = f"<p>Labels: {escape_text(labels)}</p>" if labels else ""
    return render_table([*HEAD, *NOISE], (_render_group(group) for group in review.groups), words=(0, 1)) + (
        f'{meanings}<p class="quiet">LUFS and syllables/s are medians. Speech, background and overall are DNSMOS '
        "ratings from 1 to 5.</p>"
    )


def _mark(value: str, *, wrong: bool) -> str:
    return f'<span class="warn">{value}</span>' if wrong else value


def _render_group(group: DatasetGroup) -> list[str]:
    noise = group.noise
    ratings = [f"{getattr(noise, part):.1f}" for part in NOISE] if noise else ["not measured"] * len(NOISE)
    return [
        escape_text(group.emotion),
        escape_text(group.speaker),
        str(len(group.clips)),
        _mark(f"{group.minutes:.1f}", wrong=group.minutes < ENOUGH_MINUTES),
        ", ".join(map(str, group.rates)),
        f"{group.lufs:.1f}",
        *(_mark(str(len(clips)), wrong=bool(clips)) for clips in (group.clips_with_clipping, group.clips_with_pauses)),
        f"{group.syllables_per_second:.1f}",
        _mark(str(len(group.rate_outliers)), wrong=bool(group.rate_outliers)),
        *ratings,
    ]


def _render_plots(review: DatasetReview) -> Iterator[str]:
    several = len({g.speaker for g in review.groups}) > 1
    names = [f"{g.emotion}, {g.speaker}" if several else g.emotion for g in review.groups]
    minutes = [group.minutes for group in review.groups]
    yield render_bars(f"Minutes; dashed: {ENOUGH_MINUTES:.0f}", list(zip(names, minutes, strict=True)), ENOUGH_MINUTES)
    yield render_histogram("Length of clips in seconds", [clip.seconds for clip in review.report.clips])
    named = list(zip(names, review.groups, strict=True))
    yield render_dots(
        "Speaking rate, syllables/s; outliers in colour",
        [_build_row(n, g, g.rate_outliers, _get_rate) for n, g in named],
    )
    yield render_dots(
        "Loudness of clips, LUFS", [_build_row(n, g, g.loudness_outliers, _get_loudness) for n, g in named]
    )


def _get_rate(clip: MeasuredClip) -> float:
    return clip.measures.syllables_per_second


def _get_loudness(clip: MeasuredClip) -> float:
    return clip.measures.lufs


def _build_row(
    name: str, group: DatasetGroup, outliers: list[MeasuredClip], value: Callable[[MeasuredClip], float]
) -> tuple[str, list[float], list[float]]:
    return name, [value(c) for c in group.clips if c not in outliers], [value(c) for c in outliers]
