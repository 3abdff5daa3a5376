"""How a WebSocket is refused: accepted, told why, and closed, for browsers show scripts no answer to a handshake."""

from contextlib import suppress
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from kubevoice_serving.http.errors import ApiError, told
from kubevoice_serving.http.websocket_messages import ErrorEvent

__all__ = ["close", "protocol_of", "status_of", "turn_away"]

PROTOCOL = "kubevoice"
"""The subprotocol that is chosen if it is offered: browsers want one chosen where one is offered."""
NORMAL, CODES = 1000, 4000
"""The close code of what went well; from the other on they are an application's own."""


def status_of(code: int) -> int:
    """Return what HTTP would answer for a close code of ours."""
    return HTTPStatus.OK if code == NORMAL else code - CODES


def protocol_of(scope: Scope) -> str | None:
    """Return the subprotocol to choose."""
    return PROTOCOL if PROTOCOL in scope["subprotocols"] else None


async def close(send: Send, error: ApiError) -> None:
    """End a WebSocket that has been accepted, and say why."""
    await send({"type": "websocket.send", "text": ErrorEvent(error=told(error)).model_dump_json()})
    await send({"type": "websocket.close", "code": CODES + error.status, "reason": error.code})


async def turn_away(scope: Scope, receive: Receive, send: Send, error: ApiError) -> None:
    """Refuse a handshake that nobody has answered yet."""
    await receive()  # ASGI begins so
    with suppress(OSError):  # the caller has gone
        await send({"type": "websocket.accept", "subprotocol": protocol_of(scope), "headers": []})
        await close(send, error)
