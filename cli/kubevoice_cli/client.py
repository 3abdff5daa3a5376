"""Asking a server to speak."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from kubevoice.errors import InputError, KubeVoiceError

__all__ = ["speak"]

TIMEOUT_SECONDS = 120.0


def speak(url: str, body: dict[str, Any]) -> bytes:
    """Call /v1/audio/speech of the server at `url`; return the audio.

    Raises InputError with the server's words if it refuses the request, KubeVoiceError if it does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url!r} is no address of a server; write http://HOST:PORT")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    try:
        payload = json.dumps(body).encode()
        connection.request(
            "POST", f"{parts.path.rstrip('/')}/v1/audio/speech", payload, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise KubeVoiceError(f"{url} does not answer ({error}); is the voice up? See `kubevoice status`") from None
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return content
    try:
        message = str(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = content[:200].decode(errors="replace")
    kind_of_error = InputError if answer.status < http.client.INTERNAL_SERVER_ERROR else KubeVoiceError
    raise kind_of_error(f"{url} refused ({answer.status}): {message}")
