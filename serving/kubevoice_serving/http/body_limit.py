"""The body limit: larger request bodies are refused before they are read into memory."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kubevoice_serving.http.errors import ApiError, make_error_response

__all__ = ["MAX_BODY_BYTES", "BodyLimit"]

MAX_BODY_BYTES = 128 * 1024
"""Room for 4096 characters however JSON escapes them."""


class BodyLimit:
    """ASGI middleware: refuses a body that is too large.

    A body with a Content-Length is refused unread, any other when it has grown too large.

    Parameters
    ----------
    app : ASGIApp
        The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        length = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
            await make_error_response(scope["path"], _make_error())(scope, receive, send)
            return
        await self._app(scope, _limit(receive), send)


def _limit(receive: Receive) -> Receive:
    """Return `receive`, which raises ApiError after MAX_BODY_BYTES."""
    size = 0

    async def receive_limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise _make_error()
        return message

    return receive_limited


def _make_error() -> ApiError:
    message = f"the body is larger than {MAX_BODY_BYTES} bytes; send less text"
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", message)
