"""`wyoming`: voices for Home Assistant."""

from typing import Annotated

import typer

from kubevoice_cli.client import fetch_voices
from kubevoice_cli.console import errors, plain
from kubevoice_cli.up import DEFAULT_PORT

__all__ = ["wyoming"]


def wyoming(
    *,
    url: Annotated[str, typer.Option(help="Address of the server of the voices.")] = f"http://127.0.0.1:{DEFAULT_PORT}",
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every one of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 10200,
) -> None:
    """Offer the voices of a server to Home Assistant, by the Wyoming protocol, until interrupted.

    Parameters
    ----------
    url : str
        Address of the HTTP API. The key is read from KUBEVOICE_API_KEY.
    host : str
        Address to listen on. Whoever reaches it needs no key.
    port : int
        Port to listen on.

    Raises
    ------
    InputError
        If the server refuses, or the address is wrong.
    KubeVoiceError
        If the server cannot be reached.
    """
    from kubevoice_cli.wyoming_server import WyomingServer  # loads the front end

    voices = fetch_voices(url)
    with WyomingServer((host, port), url) as server:
        names = ", ".join(voice["name"] for voice in voices)
        bound, number = server.server_address[:2]
        errors.print(plain(f"voices {names} are offered at tcp://{bound!s}:{number}"))
        server.serve_forever()
