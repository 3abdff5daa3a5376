"""What `kubevoice dataset check --html` writes: a review of a dataset as a page."""

from collections.abc import Callable, Iterator

from kubevoice_training.evaluation.dataset_review import (
    ENOUGH_MINUTES,
    DatasetAdvice,
    DatasetGroup,
    DatasetReview,
    MeasuredClip,
)
from kubevoice_training.pages.html import badge, details, document, section, table, text, tiles
from kubevoice_training.pages.plots import bars, dots, histogram

__all__ = ["dataset_page"]

HEAD = ("emotion", "speaker", "clips", "minutes", "Hz", "LUFS", "clipped", "long pauses", "syllables/s", "outliers")
NOISE = ("speech", "background", "overall")
SHOWN_ROWS = 1000
"""Lines of one list: a page with every row of a huge broken dataset would open in no browser."""


def dataset_page(review: DatasetReview) -> str:
    """Return the page; everything the dataset says in it is text."""
    name = review.uri.rstrip("/").rsplit("/", 1)[-1]
    return document(f"{name}: dataset check", _parts(review, name))


def _parts(review: DatasetReview, name: str) -> Iterator[str]:
    result = badge("can be trained on", "good") if review.trainable else badge("cannot be trained on", "bad")
    yield f"<header><h1>{text(name)}{result}</h1>"
    yield f'<p class="quiet">{text(review.uri)}<br>{text(review.digest)}</p>'
    yield tiles(
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
        yield section("Faults: correct these first", _list(list(review.faults)))
    if review.groups:
        yield section("Emotions and speakers", _groups(review))
        yield section("At a glance", '<div class="plots">', *_plots(review), "</div>")
    if review.advice:
        yield section("Advice", *(_advice(item) for item in review.advice))


def _list(lines: list[str]) -> str:
    items = "".join(f"<li>{text(line)}</li>" for line in lines[:SHOWN_ROWS])
    more = f"<p>and {len(lines) - SHOWN_ROWS} more</p>" if len(lines) > SHOWN_ROWS else ""
    return f"<ul>{items}</ul>{more}"


def _advice(item: DatasetAdvice) -> str:
    more = len(item.clips) - SHOWN_ROWS
    return details(item.message, [*item.clips[:SHOWN_ROWS], *([f"and {more} more"] if more > 0 else [])])


def _groups(review: DatasetReview) -> str:
    return table([*HEAD, *NOISE], (_group(group) for group in review.groups), words=(0, 1)) + (
        '<p class="quiet">LUFS and syllables/s are medians. Speech, background and overall are DNSMOS ratings from 1 '
        "to 5.</p>"
    )


def _flagged(value: str, *, wrong: bool) -> str:
    return f'<span class="warn">{value}</span>' if wrong else value


def _group(group: DatasetGroup) -> list[str]:
    noise = group.noise
    ratings = [f"{getattr(noise, part):.1f}" for part in NOISE] if noise else ["not measured"] * len(NOISE)
    return [
        text(group.emotion),
        text(group.speaker),
        str(len(group.clips)),
        _flagged(f"{group.minutes:.1f}", wrong=group.minutes < ENOUGH_MINUTES),
        ", ".join(map(str, group.rates)),
        f"{group.lufs:.1f}",
        *(_flagged(str(len(clips)), wrong=bool(clips)) for clips in (group.clipped, group.pausing)),
        f"{group.syllables_per_second:.1f}",
        _flagged(str(len(group.outliers)), wrong=bool(group.outliers)),
        *ratings,
    ]


def _plots(review: DatasetReview) -> Iterator[str]:
    several = len({g.speaker for g in review.groups}) > 1
    names = [f"{g.emotion}, {g.speaker}" if several else g.emotion for g in review.groups]
    minutes = [group.minutes for group in review.groups]
    yield bars(f"Minutes; dashed: {ENOUGH_MINUTES:.0f}", list(zip(names, minutes, strict=True)), ENOUGH_MINUTES)
    yield histogram("Length of clips in seconds", [clip.seconds for clip in review.report.clips])
    named = list(zip(names, review.groups, strict=True))
    yield dots("Speaking rate, syllables/s; outliers in colour", [_row(n, g, g.outliers, _rate) for n, g in named])
    yield dots("Loudness of clips, LUFS", [_row(n, g, g.apart, _level) for n, g in named])


def _rate(clip: MeasuredClip) -> float:
    return clip.measures.syllables_per_second


def _level(clip: MeasuredClip) -> float:
    return clip.measures.lufs


def _row(
    name: str, group: DatasetGroup, apart: list[MeasuredClip], value: Callable[[MeasuredClip], float]
) -> tuple[str, list[float], list[float]]:
    return name, [value(c) for c in group.clips if c not in apart], [value(c) for c in apart]
