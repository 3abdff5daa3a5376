"""`dataset`: looking at recordings before anything is trained."""

from typing import Annotated

import typer
from kubevoice.storage import connect
from rich.table import Table

from kubevoice_cli.console import answers, errors, plain

__all__ = ["app"]

app = typer.Typer(help="Check recordings.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Check recordings."""


@app.command("check")
def check_dataset(
    folder: Annotated[str, typer.Argument(help="Folder or s3:// address with metadata.csv.", show_default=False)],
) -> None:
    """Find every fault of a dataset; exit code 2 if there is one."""
    from kubevoice_training.dataset import check, require

    report = check(connect(folder), {})
    require(report, folder)
    for warning in report.warnings:
        errors.print(f"[yellow]warning:[/] {plain(warning)}")
    table = Table("EMOTION", "CLIPS", "SECONDS", box=None)
    for label, share in report.per_emotion.items():
        table.add_row(label, str(share.clips), f"{share.seconds:.1f}")
    table.add_row("all", str(len(report.clips)), f"{report.seconds:.1f}")
    answers.print(table)
    answers.print(f"digest {report.digest}")
