"""`key`: an API key and the line that lets it in."""

from typing import Annotated

import typer
from kubevoice_serving.http.api_keys import generate_key

from kubevoice_cli.console import answers, errors, plain

__all__ = ["key"]


def key(name: Annotated[str, typer.Argument(help="Who gets it; logs and metrics show this name.")]) -> None:
    """Make an API key: the line for the keys file goes to stdout, the key itself to stderr, this once."""
    made, line = generate_key(name)
    answers.print(plain(line.text))
    errors.print(f"the key, which is kept nowhere: {plain(made)}")
