"""`logs`: what the server on this machine wrote about requests."""

import time
from typing import Annotated

import typer
from kubevoice.errors import InputError
from kubevoice_operator.local.backend import LocalBackend
from kubevoice_operator.local.serve_logs import LogReader

from kubevoice_cli.console import answers, home, plain
from kubevoice_cli.up import DEFAULT_PORT

__all__ = ["logs"]

POLL_SECONDS = 0.5


def logs(
    *,
    tail: Annotated[int, typer.Option("--tail", help="Show the last N entries.", min=0)] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as entries are written.")] = False,
) -> None:
    """Show the requests that the server on this machine answered, and its errors.

    Parameters
    ----------
    tail : int
        How many entries of the past are shown.
    follow : bool
        Whether to go on until interrupted.

    Raises
    ------
    InputError
        If nothing was served from this folder yet.
    """
    folder = LocalBackend(home(), DEFAULT_PORT).serving.ray.logs
    if not folder.is_dir():
        raise InputError(f"nothing has been served from {home()} yet; kubevoice up -f FILE serves a voice")
    reader = LogReader(folder)
    entries = reader.read()
    for entry in entries[len(entries) - min(tail, len(entries)) :]:
        answers.print(plain(entry.text), soft_wrap=True)
    while follow:
        time.sleep(POLL_SECONDS)
        for entry in reader.read():
            answers.print(plain(entry.text), soft_wrap=True)
