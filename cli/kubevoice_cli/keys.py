"""`key`: an API key and its line in the keys file."""

from typing import Annotated

import typer
from kubevoice_serving.http.api_keys import generate_key

from kubevoice_cli.console import answers, errors, plain

__all__ = ["key"]


def key(name: Annotated[str, typer.Argument(help="Who gets it; logs and metrics show this name.")]) -> None:
    """Make an API key: the line for the keys file goes to stdout, the key itself to stderr, this once.

    Parameters
    ----------
    name : str
        Name of the key, which logs and metrics show.

    Raises
    ------
    InputError
        If the name cannot be in a keys file.
    """
    api_key, line = generate_key(name)
    answers.print(plain(line.text))
    errors.print(f"the key, which is not stored: {plain(api_key)}")
