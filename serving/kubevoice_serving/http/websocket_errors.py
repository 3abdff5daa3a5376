"""Errors over a WebSocket: an event with the error, and a close code derived from the HTTP status.

A refused handshake is accepted first, because browsers show scripts no response to a handshake.
"""

from contextlib import suppress
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from kubevoice_serving.http.errors import ApiError, make_error_body
from kubevoice_serving.http.websocket_messages import ErrorEvent

__all__ = ["choose_subprotocol", "close_with_error", "reject_handshake", "to_http_status"]

SUBPROTOCOL = "kubevoice"
"""Accepted if the caller offers it: browsers fail a connection that accepts none of the subprotocols they offer."""
NORMAL_CLOSE, FIRST_ERROR_CLOSE = 1000, 4000
"""Close codes: of success, and the first of an application's own, to which the HTTP status is added."""


def to_http_status(close_code: int) -> int:
    """Return the HTTP status for a close code that this server sends.

    Parameters
    ----------
    close_code : int
        Close code of a WebSocket.

    Returns
    -------
    int
        200 for a normal close, else the status of the error.
    """
    return HTTPStatus.OK if close_code == NORMAL_CLOSE else close_code - FIRST_ERROR_CLOSE


def choose_subprotocol(scope: Scope) -> str | None:
    """Choose the subprotocol to accept a handshake with.

    Parameters
    ----------
    scope : Scope
        ASGI scope of the handshake.

    Returns
    -------
    str or None
        The subprotocol; None if the caller does not offer it.
    """
    return SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None


async def close_with_error(send: Send, error: ApiError) -> None:
    """Send an error on a WebSocket that has been accepted, and close it.

    Parameters
    ----------
    send : Send
        ASGI function that sends to the caller.
    error : ApiError
        The error. Its status is in the close code, its code in the reason.

    Raises
    ------
    OSError
        If the caller has closed the connection.
    """
    await send({"type": "websocket.send", "text": ErrorEvent(error=make_error_body(error)).model_dump_json()})
    await send({"type": "websocket.close", "code": FIRST_ERROR_CLOSE + error.status, "reason": error.code})


async def reject_handshake(scope: Scope, receive: Receive, send: Send, error: ApiError) -> None:
    """Refuse a handshake that has not been answered yet. A caller who has left is ignored.

    Parameters
    ----------
    scope : Scope
        ASGI scope of the handshake.
    receive, send : Receive, Send
        ASGI functions of the connection.
    error : ApiError
        Why it is refused.
    """
    await receive()  # ASGI begins with a websocket.connect
    with suppress(OSError):  # the caller has gone
        await send({"type": "websocket.accept", "subprotocol": choose_subprotocol(scope), "headers": []})
        await close_with_error(send, error)
