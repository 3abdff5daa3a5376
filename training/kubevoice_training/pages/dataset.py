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


def dataset_page(found: DatasetReview) -> str:
    """Return the page; everything the dataset says in it is text."""
    name = found.uri.rstrip("/").rsplit("/", 1)[-1]
    return document(f"{name}: dataset check", _parts(found, name))


def _parts(found: DatasetReview, name: str) -> Iterator[str]:
    verdict = badge("can be trained on", "good") if found.trainable else badge("cannot be trained on", "bad")
    yield f"<header><h1>{text(name)}{verdict}</h1>"
    yield f'<p class="quiet">{text(found.uri)}<br>{text(found.digest)}</p>'
    yield tiles(
        [
            (f"{len(found.report.clips)}", "usable clips"),
            (f"{found.report.seconds / 60:.1f}", "minutes"),
            (f"{len({g.emotion for g in found.groups})}", "emotions"),
            (f"{len({g.speaker for g in found.groups})}", "speakers"),
            (f"{len(found.faults)}", "faults"),
            (f"{len(found.advice)}", "pieces of advice"),
        ]
    )
    yield "</header>"
    if found.faults:
        yield section("Faults: mend these first", _list(list(found.faults)))
    if found.groups:
        yield section("Emotions and speakers", _groups(found))
        yield section("At a glance", '<div class="plots">', *_plots(found), "</div>")
    if found.advice:
        yield section("Advice", *(_advice(item) for item in found.advice))


def _list(lines: list[str]) -> str:
    items = "".join(f"<li>{text(line)}</li>" for line in lines[:SHOWN_ROWS])
    more = f"<p>and {len(lines) - SHOWN_ROWS} more</p>" if len(lines) > SHOWN_ROWS else ""
    return f"<ul>{items}</ul>{more}"


def _advice(item: DatasetAdvice) -> str:
    more = len(item.clips) - SHOWN_ROWS
    return details(item.message, [*item.clips[:SHOWN_ROWS], *([f"and {more} more"] if more > 0 else [])])


def _groups(found: DatasetReview) -> str:
    return table([*HEAD, *NOISE], (_group(group) for group in found.groups), words=(0, 1)) + (
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


def _plots(found: DatasetReview) -> Iterator[str]:
    several = len({g.speaker for g in found.groups}) > 1
    names = [f"{g.emotion}, {g.speaker}" if several else g.emotion for g in found.groups]
    minutes = [group.minutes for group in found.groups]
    yield bars(f"Minutes; dashed: {ENOUGH_MINUTES:.0f}", list(zip(names, minutes, strict=True)), ENOUGH_MINUTES)
    yield histogram("Length of clips in seconds", [clip.seconds for clip in found.report.clips])
    named = list(zip(names, found.groups, strict=True))
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
