"""`voice`: show, measure, import and export bundles."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from kubevoice.engine import Engine
from kubevoice.errors import InputError
from kubevoice.voice import builtin_voice, load_bundle
from rich.table import Table

from kubevoice_cli.console import answers, errors, plain
from kubevoice_cli.progress import ItemBar

if TYPE_CHECKING:
    from kubevoice_training.evaluation.bundle_evaluation import BundleEvaluation

__all__ = ["app"]

app = typer.Typer(help="Show and measure bundles; import and export voices.", no_args_is_help=True)


class ExportFormat(StrEnum):
    """Formats that a voice can be exported to, beside the ONNX files of every bundle."""

    TORCHSCRIPT = "torchscript"


def _find_bundle(bundle: str) -> Path:
    return builtin_voice(bundle) if bundle.startswith("builtin://") else Path(bundle)


@app.command("show")
def show(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or builtin://NAME.", show_default=False)],
) -> None:
    """Check every file of a bundle against its digest and show its manifest.

    Parameters
    ----------
    bundle : str
        Folder of a bundle, or builtin://NAME.

    Raises
    ------
    InputError
        If there is no such bundle, or if a file does not match its digest.
    """
    folder = _find_bundle(bundle)
    bundle_files = load_bundle(folder)
    manifest = bundle_files.manifest
    size = sum((folder / name).stat().st_size for name in manifest.files)
    lines = {
        "name": manifest.name,
        "revision": bundle_files.digest,
        "audio": f"{manifest.sample_rate} Hz, hop {manifest.hop}, {manifest.mels} mel bins",
        "speakers": ", ".join(manifest.speakers),
        "emotions": ", ".join(emotion.label for emotion in manifest.emotions),
        "base": manifest.base or "none",
        "size": f"{size / 1e6:.1f} MB in {len(manifest.files)} files",
        "export": ", ".join(f"{name} {value:g}" for name, value in manifest.export_max_abs_diff.items()),
    }
    card = folder.parent / "README.md"
    if bundle.startswith("builtin://") and card.is_file():
        lines["card"] = str(card)
    for key, value in lines.items():
        answers.print(f"{key:9} {plain(value)}")
    for key, number in manifest.metrics.items():
        answers.print(f"metric    {key} {number:g}")
    for line in manifest.attribution:
        answers.print(f"source    {plain(line)}")


@app.command("evaluate")
def evaluate(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or builtin://NAME.", show_default=False)],
    *,
    sentences: Annotated[
        Path | None, typer.Option(help="Text file with a sentence a line. [twenty of everyday talk and news]")
    ] = None,
    speaker: Annotated[list[str] | None, typer.Option(help="Only this speaker; may be repeated. [all]")] = None,
    emotion: Annotated[str | None, typer.Option(help="Emotion of the speech. [the voice's default]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure how a voice reads sentences: naturalness, recognition errors and real-time factor of each speaker.

    Parameters
    ----------
    bundle : str
        Folder of a bundle, or builtin://NAME.
    sentences : Path or None
        File with a sentence a line; None is twenty sentences of everyday talk and news.
    speaker : list of str or None
        Speakers to measure; None is all.
    emotion : str or None
        Emotion of the speech; None is the voice's default.
    as_json : bool
        Whether JSON is printed.

    Raises
    ------
    InputError
        If there is no such bundle, speaker or emotion, or the file has no sentence that can be read.
    """
    from kubevoice_training.evaluation.bundle_evaluation import evaluate_bundle, read_default_sentences  # needs torch

    texts = _read_sentences(sentences) if sentences else read_default_sentences()
    engine = Engine.load(_find_bundle(bundle))
    with ItemBar(errors, "measure speakers") as bar:
        result = evaluate_bundle(engine, texts, speaker or (), emotion, bar.advance)
    if as_json:
        answers.print(plain(result.model_dump_json(by_alias=True, indent=1)))
    else:
        _show_evaluation(result)


def _read_sentences(path: Path) -> list[str]:
    try:
        texts = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; give a text file in UTF-8 with a sentence a line") from None
    if not texts:
        raise InputError(f"{path} has no sentence; write one a line")
    return texts


def _show_evaluation(result: "BundleEvaluation") -> None:
    def optional(value: float | None, digits: str) -> str:
        return "-" if value is None else format(value, digits)

    columns = ("SPEAKER", "NATURALNESS", "ERRORS", "WITH TONES", "REAL TIME", "SECONDS")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for row in result.speakers:
        table.add_row(
            plain(row.speaker),
            optional(row.naturalness, ".2f"),
            optional(row.pinyin_error_rate, ".1%"),
            optional(row.pinyin_error_rate_with_tones, ".1%"),
            f"{row.real_time_factor:.3f}",
            f"{row.seconds:.1f}",
        )
    answers.print(table)
    for metric, why in result.missing.items():
        errors.print(f"[yellow]not measured:[/] {metric}: {plain(why)}")


@app.command("import")
def import_voice(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of a ModelScope SAMBERT-HifiGAN voice, or a YAML or JSON file that names its parts.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write; it must not exist.", show_default=False)],
    *,
    voice: Annotated[list[str] | None, typer.Option(help="Import only this voice; may be repeated. [all]")] = None,
    emotion: Annotated[
        list[str] | None, typer.Option(help="Import only this emotion; may be repeated. [all that have a name]")
    ] = None,
) -> None:
    """Convert a ModelScope voice into a bundle that can be served, and fine-tuned as spec.base.uri.

    A folder with several voices becomes a folder with a bundle for each.

    Parameters
    ----------
    folder : Path
        Folder of a ModelScope voice, or a file that names its parts.
    out : Path
        Folder to write, which must not exist.
    voice : list of str or None
        Voices to import; None is all.
    emotion : list of str or None
        Emotions to import; None is all that have a name.

    Raises
    ------
    InputError
        If the folder is not a voice that can be imported.
    """
    from kubevoice_training.modelscope.bundle import import_voices  # needs torch

    for imported in import_voices(folder, out, names=voice or (), emotions=emotion or ()):
        answers.print(f"{plain(str(imported.path))}  {imported.bundle.digest}")


@app.command("import-vocoder")
def import_published_vocoder(
    folder: Annotated[
        Path, typer.Argument(help="Folder with HiFi-GAN's config.json and generator.", show_default=False)
    ],
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or builtin://NAME.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder to write; it must not exist.", show_default=False)],
    *,
    checkpoint: Annotated[
        str | None, typer.Option(help="Name of the generator's file. [the only one, or g_ with the highest number]")
    ] = None,
) -> None:
    """Write a bundle with a vocoder from jik876/hifi-gan in place of its own. Both must have the same mel.

    Parameters
    ----------
    folder : Path
        Folder with config.json and the generator's checkpoint.
    bundle : str
        Folder of a bundle, or builtin://NAME.
    out : Path
        Folder to write, which must not exist.
    checkpoint : str or None
        Name of the generator's file; None if there is only one.

    Raises
    ------
    InputError
        If the vocoder cannot be read, or its mel differs from that of the bundle's acoustic model.
    """
    from kubevoice_training.vocoder_replacement import import_vocoder  # needs torch

    imported = import_vocoder(folder, load_bundle(_find_bundle(bundle)), out, checkpoint)
    answers.print(f"{plain(str(out))}  {imported.digest}")


@app.command("export")
def export_voice(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or builtin://NAME.", show_default=False)],
    *,
    format: Annotated[ExportFormat, typer.Option(help="What to export to.")] = ExportFormat.TORCHSCRIPT,  # noqa: A002  # its option's name
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write. [torchscript/ in the bundle's folder]")
    ] = None,
) -> None:
    """Export a voice to another format and compare it with torch on ten texts. The bundle does not change.

    Parameters
    ----------
    bundle : str
        Folder of a bundle, or builtin://NAME.
    format : ExportFormat
        Format to export to.
    output : Path or None
        Folder to write; None is a folder of the bundle.

    Raises
    ------
    InputError
        If there is no such bundle.
    """
    from kubevoice_training.export.torchscript import export_torchscript  # needs torch

    bundle_files = load_bundle(_find_bundle(bundle))
    folder = output or bundle_files.path / format.value
    for name, difference in export_torchscript(bundle_files, folder).torchscript.items():
        answers.print(f"{plain(str(folder / Path(name).with_suffix('.pt')))}  differs from torch by {difference:.2g}")
