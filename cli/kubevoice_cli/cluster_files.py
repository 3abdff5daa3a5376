"""`crd` and `version`."""

import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated

import typer
from kubevoice.resources.crd import render_crd

from kubevoice_cli.console import answers, plain

__all__ = ["crd", "version"]


def crd(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; - is stdout.")] = Path(
        "crds/voicemodels.kubevoice.io.yaml"
    ),
) -> None:
    """Write the CustomResourceDefinition of VoiceModel, generated from its types.

    Parameters
    ----------
    output : Path
        File to write; `-` is stdout.
    """
    if str(output) == "-":
        sys.stdout.write(render_crd())
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(render_crd(), encoding="utf-8")
    answers.print(plain(str(output)))


def version() -> None:
    """Show the version."""
    answers.print(installed("kubevoice"))
