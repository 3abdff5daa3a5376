"""`key`: make an API key and its line for the keys file."""

from typing import Annotated

import typer
from kubevoice_serving.http.api_keys import generate_key

from kubevoice_cli.console import answers, errors, plain

__all__ = ["key"]


def key(name: Annotated[str, typer.Argument(help="Name of the caller, shown in logs and metrics.")]) -> None:
    """Make an API key. Its line for the keys file goes to stdout; the key itself goes to stderr and is not stored.

    Parameters
    ----------
    name : str
        Name of the caller, shown in logs and metrics.

    Raises
    ------
    InputError
        If the name cannot be in a keys file.
    """
    api_key, line = generate_key(name)
    answers.print(plain(line.text))
    errors.print(f"the key, which is not stored: {plain(api_key)}")
