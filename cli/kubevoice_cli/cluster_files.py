"""`crd` and `version`."""

import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated

import typer
from kubevoice.resources.crd import CUSTOM_RESOURCES, render_crd
from kubevoice.resources.voicemodel import GROUP

from kubevoice_cli.console import answers, plain

__all__ = ["crd", "version"]


def crd(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to; - is stdout.")] = Path("crds"),
) -> None:
    """Write the CustomResourceDefinitions of VoiceModel and VoicePool, generated from their types.

    Parameters
    ----------
    output : Path
        Folder to write to; `-` is stdout.
    """
    if str(output) == "-":
        sys.stdout.write("---\n".join(render_crd(resource) for resource in CUSTOM_RESOURCES))
        return
    output.mkdir(parents=True, exist_ok=True)
    for resource in CUSTOM_RESOURCES:
        file = output / f"{resource.plural}.{GROUP}.yaml"
        file.write_text(render_crd(resource), encoding="utf-8")
        answers.print(plain(str(file)))


def version() -> None:
    """Show the version."""
    answers.print(installed("kubevoice"))
