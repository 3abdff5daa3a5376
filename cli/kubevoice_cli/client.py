"""HTTP client of a voice's server: speech and subtitles."""

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from kubevoice.errors import InputError, KubeVoiceError

__all__ = [
    "KEY_VARIABLE",
    "SPEECH",
    "SUBTITLES",
    "ServerBusyError",
    "fetch_speech",
    "fetch_subtitles",
    "fetch_voices",
    "open_request",
]

TIMEOUT_SECONDS = 120.0
KEY_VARIABLE = "KUBEVOICE_API_KEY"
SPEECH, SUBTITLES, VOICES = "/v1/audio/speech", "/v1/audio/subtitles", "/v1/voices"


class ServerBusyError(KubeVoiceError):
    """The server refused a request because it is at capacity (HTTP 429)."""


def fetch_speech(url: str, body: dict[str, Any]) -> bytes:
    """Fetch speech from /v1/audio/speech of a server.

    Parameters
    ----------
    url : str
        Address of the server.
    body : dict
        Fields of the request.

    Returns
    -------
    bytes
        The audio file.

    Raises
    ------
    InputError, ServerBusyError, KubeVoiceError
        As `open_request` raises them.
    """
    with open_request(url, body) as response:
        return response.read()


def fetch_subtitles(url: str, body: dict[str, Any]) -> bytes:
    """Fetch subtitles from /v1/audio/subtitles of a server.

    Parameters
    ----------
    url : str
        Address of the server.
    body : dict
        Fields of the request.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    InputError, ServerBusyError, KubeVoiceError
        As `open_request` raises them.
    """
    with open_request(url, body, route=SUBTITLES) as response:
        return response.read()


def fetch_voices(url: str) -> list[dict[str, Any]]:
    """Fetch what /v1/voices of a server lists.

    Parameters
    ----------
    url : str
        Address of the server.

    Returns
    -------
    list of dict
        The voices.

    Raises
    ------
    InputError, ServerBusyError, KubeVoiceError
        As `open_request` raises them.
    """
    with open_request(url, None, route=VOICES) as response:
        voices: list[dict[str, Any]] = json.load(response)["voices"]
        return voices


@contextmanager
def open_request(
    url: str, body: dict[str, Any] | None, *, bypass_cache: bool = False, route: str = SPEECH
) -> Iterator[http.client.HTTPResponse]:
    """Send a request and yield the response, whose body can be read as it arrives.

    Parameters
    ----------
    url : str
        Address of the server, with a path before the route if it has one.
    body : dict or None
        Fields of a POST request; None sends GET.
    bypass_cache : bool
        Whether the server synthesizes even if its response cache has the result.
    route : str
        Path of the API.

    Yields
    ------
    http.client.HTTPResponse
        The response with status 200.

    Raises
    ------
    InputError
        If the server refuses the request; its message is the error's.
    ServerBusyError
        If the server is at capacity.
    KubeVoiceError
        If the server cannot be reached, or fails.

    Notes
    -----
    The API key is read from the environment variable `KUBEVOICE_API_KEY`.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url!r} is not an address of a server; write http://HOST:PORT")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    path = f"{parts.path.rstrip('/')}{route}"
    headers = {"Content-Type": "application/json"} | ({"Cache-Control": "no-cache"} if bypass_cache else {})
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    try:
        if body is None:
            connection.request("GET", path, headers=headers)
        else:
            connection.request("POST", path, json.dumps(body).encode(), headers)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise _make_refusal(url, response.status, response.read())
        yield response
    except (OSError, http.client.HTTPException) as error:
        raise KubeVoiceError(
            f"{url} does not answer ({error}); check with `kubevoice status` whether the voice is served"
        ) from None
    finally:
        connection.close()


def _make_refusal(url: str, status: int, content: bytes) -> KubeVoiceError:
    try:
        message = str(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = content[:200].decode(errors="replace")
    text = f"{url} refused ({status}): {message}"
    if status == http.client.TOO_MANY_REQUESTS:
        return ServerBusyError(text)
    return InputError(text) if status < http.client.INTERNAL_SERVER_ERROR else KubeVoiceError(text)
