"""Callers who leave, as Ray Serve's HTTP process reports them."""

from ray.exceptions import TaskCancelledError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RayDisconnects"]

ABNORMAL_CLOSURE = 1006
"""RFC 6455, 7.1.5: the connection of a WebSocket was lost."""


class RayDisconnects:
    """ASGI middleware: reports a caller who left by a message of disconnection, as ASGI requires.

    When a caller leaves, Ray cancels its task that fetches the messages of the request. Depending on which is first,
    `receive` returns a disconnection or raises TaskCancelledError, which would be logged as an error.

    Parameters
    ----------
    app : ASGIApp
        The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def receive_or_disconnect() -> Message:
            try:
                return await receive()
            except TaskCancelledError:
                if scope["type"] == "websocket":
                    return {"type": "websocket.disconnect", "code": ABNORMAL_CLOSURE}
                return {"type": "http.disconnect"}

        await self._app(scope, receive_or_disconnect, send)
