"""Asking a server to speak."""

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from kubevoice.errors import InputError, KubeVoiceError

__all__ = ["KEY_VARIABLE", "SPEECH", "SUBTITLES", "BusyError", "ask", "speak", "subtitles"]

TIMEOUT_SECONDS = 120.0
KEY_VARIABLE = "KUBEVOICE_API_KEY"
SPEECH, SUBTITLES = "/v1/audio/speech", "/v1/audio/subtitles"


class BusyError(KubeVoiceError):
    """The server has too much to do."""


def speak(url: str, body: dict[str, Any]) -> bytes:
    """Call /v1/audio/speech of the server at `url`; return the audio. Raises as `ask` does."""
    with ask(url, body) as answer:
        return answer.read()


def subtitles(url: str, body: dict[str, Any]) -> bytes:
    """Call /v1/audio/subtitles of the server at `url`; return the file. Raises as `ask` does."""
    with ask(url, body, route=SUBTITLES) as answer:
        return answer.read()


@contextmanager
def ask(
    url: str, body: dict[str, Any], *, fresh: bool = False, route: str = SPEECH
) -> Iterator[http.client.HTTPResponse]:
    """Call `route`; the answer is there when speech begins. `fresh` speech is not from the server's memory.

    The API key, if the server wants one, is that of the environment.

    Raises InputError with the server's words if it refuses the request, BusyError if it has too much to do,
    KubeVoiceError if it does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url!r} is no address of a server; write http://HOST:PORT")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    path = f"{parts.path.rstrip('/')}{route}"
    headers = {"Content-Type": "application/json"} | ({"Cache-Control": "no-cache"} if fresh else {})
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.request("POST", path, json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise _refusal(url, answer.status, answer.read())
        yield answer
    except (OSError, http.client.HTTPException) as error:
        raise KubeVoiceError(f"{url} does not answer ({error}); is the voice up? See `kubevoice status`") from None
    finally:
        connection.close()


def _refusal(url: str, status: int, content: bytes) -> KubeVoiceError:
    try:
        message = str(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = content[:200].decode(errors="replace")
    told = f"{url} refused ({status}): {message}"
    if status == http.client.TOO_MANY_REQUESTS:
        return BusyError(told)
    return InputError(told) if status < http.client.INTERNAL_SERVER_ERROR else KubeVoiceError(told)
