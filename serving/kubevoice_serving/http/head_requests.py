"""HEAD requests, which uptime checks and browsers send: what GET answers, without its body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HeadRequests"]


class HeadRequests:
    """ASGI middleware: answers HEAD as GET, without the body. FastAPI's routes for GET refuse HEAD.

    Parameters
    ----------
    app : ASGIApp
        The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        scope["method"] = "GET"  # the scope itself: middleware before this reads the route from it
        try:
            await self._app(scope, receive, send_without_body)
        finally:
            scope["method"] = "HEAD"
