"""A bound for request bodies, which holds before anything is kept of them."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kubevoice_serving.http.errors import ApiError, answer

__all__ = ["MAX_BODY_BYTES", "BodyBound"]

MAX_BODY_BYTES = 128 * 1024
"""Room for 4096 characters however JSON escapes them."""


class BodyBound:
    """ASGI middleware: a body that is too large by its head is not read, one without a length only so far."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        told = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if told.isdecimal() and int(told[:20]) > MAX_BODY_BYTES:
            await answer(scope["path"], _too_large())(scope, receive, send)
            return
        await self._app(scope, _bounded(receive), send)


def _bounded(receive: Receive) -> Receive:
    """Return `receive`, refusing a body of more than MAX_BODY_BYTES."""
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise _too_large()
        return message

    return bounded


def _too_large() -> ApiError:
    message = f"the body is larger than {MAX_BODY_BYTES} bytes; send less text"
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", message)
