"""`key`: make an API key and its line for the keys file."""

from typing import Annotated

import typer
from kubevoice_serving.http.api_keys import generate_key

from kubevoice_cli.console import answers, errors, plain

__all__ = ["key"]


def key(
    name: Annotated[str, typer.Argument(help="Name of the caller, shown in logs and metrics.")],
    voice: Annotated[
        list[str] | None, typer.Option(help="A voice that it may use, the default voice first; repeatable. [all]")
    ] = None,
) -> None:
    """Make an API key. Its line for the keys file goes to stdout; the key itself goes to stderr and is not stored.

    Parameters
    ----------
    name : str
        Name of the caller, shown in logs and metrics.
    voice : list of str or None
        Names of the voices that it may use; None for all.

    Raises
    ------
    InputError
        If a name cannot be in a keys file.
    """
    api_key, line = generate_key(name, voice or ())
    answers.print(plain(line.text))
    errors.print(f"the key, which is not stored: {plain(api_key)}")
