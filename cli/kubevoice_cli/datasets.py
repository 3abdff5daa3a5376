"""`dataset`: check recordings before training."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.voicemodel import Dataset, PinyinTones, load_voicemodel
from kubevoice.storage import S3Options, connect
from kubevoice.text.front_end_config import English
from rich.table import Table

from kubevoice_cli.console import answers, errors, home, plain
from kubevoice_cli.progress import ItemBar

if TYPE_CHECKING:
    from kubevoice_training.evaluation.dataset_review import DatasetReview

__all__ = ["app"]

app = typer.Typer(help="Check recordings.", no_args_is_help=True)
SHOWN_CLIPS = 5
"""Clips listed below each advice in the terminal; --json and --html list all."""


@app.callback()
def _group() -> None:
    """Check recordings."""


@app.command("check")
def measure_dataset(
    folder: Annotated[
        str,
        typer.Argument(
            help="Folder, file:// or s3:// address with metadata.csv, or KAN-TTS' standard folder; or the YAML file of "
            "a VoiceModel, whose dataset, map and storage are used.",
            show_default=False,
        ),
    ],
    *,
    pinyin_tones: Annotated[
        PinyinTones | None,
        typer.Option(
            help="How the pinyin of a KAN-TTS folder writes tones; sandhi is applied to AsWritten. [AsSpoken]"
        ),
    ] = None,
    meanings: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="LABEL=EMOTION", help="The emotion that a label means; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
) -> None:
    """Measure a dataset and list every fault; exit code 2 if it cannot be trained on.

    Parameters
    ----------
    folder : str
        Folder or address of the dataset, or file of a VoiceModel.
    pinyin_tones : PinyinTones or None
        How the pinyin of a KAN-TTS folder writes tones; None is as the VoiceModel says.
    meanings : list of str or None
        LABEL=EMOTION, beyond what the VoiceModel says.
    as_json : bool
        Whether the review is printed as JSON.
    html : Path or None
        File for a page with plots; None writes none.

    Raises
    ------
    InputError
        If the dataset cannot be trained on; its problems are the faults. Or if the VoiceModel or a map is wrong.
    KubeVoiceError
        If the page cannot be written.
    """
    from kubevoice_training.evaluation.dataset_review import dump_review, review_dataset

    source = _read_source(folder)
    mapping = source.dataset.emotions | dict(_parse_meaning(text) for text in meanings or ())
    with ItemBar(errors, "check recordings") as bar:
        review = review_dataset(
            connect(source.dataset.uri, source.options),
            mapping,
            english=source.english,
            tones=pinyin_tones or source.dataset.pinyin_tones,
            on_row=bar.advance,
        )
    if html is not None:
        _write_page(review, html)
    if as_json:
        answers.print(plain(json.dumps(dump_review(review), ensure_ascii=False, indent=1)))
    else:
        _show(review)
    if review.faults:
        shown = () if as_json else review.faults
        raise InputError(f"dataset {folder} has {len(review.faults)} faults and cannot be trained on", shown)


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """A dataset to check, how to reach it, and how its English is read."""

    dataset: Dataset
    options: S3Options
    english: English = "syllables"


def _read_source(folder: str) -> DatasetSource:
    """Return the dataset of a folder, an address or the file of a VoiceModel."""
    if not folder.endswith((".yaml", ".yml")):
        return DatasetSource(Dataset(uri=folder), S3Options())
    from kubevoice_training.stages.base_voice import fetch_base_manifest

    spec = load_voicemodel(Path(folder), artifacts=home() / "artifacts").spec
    if spec.dataset is None:
        raise InputError(f"the VoiceModel in {folder} has no dataset: it serves its base voice as it is")
    options = spec.storage.s3_options()
    english: English = "phones" if fetch_base_manifest(spec.base, options).english else "syllables"
    return DatasetSource(spec.dataset, options, english)


def _parse_meaning(text: str) -> tuple[str, str]:
    label, _, emotion = text.partition("=")
    if not label or not emotion:
        raise InputError(f"--map {text!r} is not LABEL=EMOTION, such as 开心=happy")
    return label, emotion


def _write_page(review: "DatasetReview", path: Path) -> None:
    from kubevoice_training.pages.dataset import render_dataset_page

    try:
        path.write_text(render_dataset_page(review), encoding="utf-8")
    except OSError as error:
        raise KubeVoiceError(f"cannot write {path}: {error.strerror}") from None
    errors.print(plain(f"wrote {path}"))


def _show(review: "DatasetReview") -> None:
    columns = ("EMOTION", "SPEAKER", "CLIPS", "MIN", "HZ", "LUFS", "CLIPPED", "PAUSES", "SYLL/S", "ODD", "NOISE")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for group in review.groups:
        table.add_row(
            plain(group.emotion),
            plain(group.speaker),
            str(len(group.clips)),
            f"{group.minutes:.1f}",
            ",".join(map(str, group.rates)),
            f"{group.lufs:.1f}",
            str(len(group.clips_with_clipping)),
            str(len(group.clips_with_pauses)),
            f"{group.syllables_per_second:.1f}",
            str(len(group.rate_outliers)),
            f"{group.noise.background:.1f}" if group.noise else "-",
        )
    if review.groups:
        answers.print(table)
    if labels := review.replaced_labels:
        answers.print(plain("labels: " + ", ".join(f"{label} → {emotion}" for label, emotion in labels.items())))
    answers.print(f"{len(review.report.clips)} clips, {review.report.seconds / 60:.1f} minutes, digest {review.digest}")
    for item in review.advice:
        errors.print(f"[yellow]advice:[/] {plain(item.message)}")
        for line in item.clips[:SHOWN_CLIPS]:
            errors.print(f"  {plain(line)}")
        if len(item.clips) > SHOWN_CLIPS:
            errors.print(f"  and {len(item.clips) - SHOWN_CLIPS} more; --json and --html list all")
