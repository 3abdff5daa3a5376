"""`voice`: show, import and export bundles."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from kubevoice.voice import builtin_voice, load_bundle

from kubevoice_cli.console import answers, plain

__all__ = ["app"]

app = typer.Typer(help="Show bundles; import and export voices.", no_args_is_help=True)


class ExportFormat(StrEnum):
    """Formats that a voice can be exported to, beside the ONNX files of every bundle."""

    TORCHSCRIPT = "torchscript"


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
    folder = builtin_voice(bundle) if bundle.startswith("builtin://") else Path(bundle)
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

    bundle_files = load_bundle(builtin_voice(bundle) if bundle.startswith("builtin://") else Path(bundle))
    folder = output or bundle_files.path / format.value
    for name, difference in export_torchscript(bundle_files, folder).torchscript.items():
        answers.print(f"{plain(str(folder / Path(name).with_suffix('.pt')))}  differs from torch by {difference:.2g}")
