"""JSON over HTTP to this machine."""

import http.client
import json
from typing import Any

__all__ = ["request"]

LOOPBACK = "127.0.0.1"


def request(
    port: int, method: str, path: str, body: Any = None, *, token: str | None = None, timeout: float = 5.0
) -> tuple[int, Any]:
    """Send a request to a server on loopback.

    Parameters
    ----------
    port
        Its port.
    method
        GET, PUT or DELETE.
    path
        Path and query.
    body
        Sent as JSON; None sends no body.
    token
        Sent as a bearer token.
    timeout
        Seconds to wait for each part of the answer.

    Returns
    -------
    tuple
        Status, and the answer's JSON, or its text if it is not JSON.

    Raises
    ------
    OSError
        If nothing answers.
    """
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        payload = None if body is None else json.dumps(body).encode()
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        text = answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"port {port} does not speak HTTP: {error!r}") from None
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text.decode(errors="replace")
