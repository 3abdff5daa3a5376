"""`voice`: looking at voice bundles."""

from pathlib import Path
from typing import Annotated

import typer
from kubevoice.voice import builtin_voice, load_bundle

from kubevoice_cli.console import answers, plain

__all__ = ["app"]

app = typer.Typer(help="Look at voice bundles.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at voice bundles."""


@app.command("show")
def show(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or builtin://NAME.", show_default=False)],
) -> None:
    """Show what a bundle says about itself, after checking every file against its digest."""
    folder = builtin_voice(bundle) if bundle.startswith("builtin://") else Path(bundle)
    found = load_bundle(folder)
    manifest = found.manifest
    size = sum((folder / name).stat().st_size for name in manifest.files)
    lines = {
        "name": manifest.name,
        "revision": found.digest,
        "audio": f"{manifest.sample_rate} Hz, hop {manifest.hop}, {manifest.mels} mel bins",
        "speakers": ", ".join(manifest.speakers),
        "emotions": ", ".join(emotion.label for emotion in manifest.emotions),
        "base": manifest.base or "none",
        "size": f"{size / 1e6:.1f} MB in {len(manifest.files)} files",
        "export": ", ".join(f"{name} {value:g}" for name, value in manifest.export_max_abs_diff.items()),
    }
    for key, value in lines.items():
        answers.print(f"{key:9} {plain(value)}")
    for key, figure in manifest.metrics.items():
        answers.print(f"metric    {key} {figure:g}")
    for line in manifest.attribution:
        answers.print(f"source    {plain(line)}")
