"""Access control: who may call, how often, and from which web sites. It is middleware before the routes."""

import logging
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from kubevoice.errors import KubeVoiceError
from kubevoice.resources.data_plane import AccessConfig
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from kubevoice_serving.http.api_keys import ApiKeyEntry, ApiKeyFile
from kubevoice_serving.http.errors import ApiError, make_error_response
from kubevoice_serving.http.rate_limits import RateLimiter
from kubevoice_serving.http.voice_access import ALLOWED_VOICES
from kubevoice_serving.http.websocket_errors import reject_handshake

__all__ = ["KEY_NAME", "AccessControl", "AccessMiddleware", "DynamicCorsMiddleware"]

logger = logging.getLogger(__name__)

KEY_NAME = "kubevoice.key"
"""Where a request's ASGI scope has the name of its key."""
OPEN_PATHS = frozenset(
    {
        "/",
        "/docs",
        "/openapi.json",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/revisions",  # the operator asks for it, and may read no Secret
    }
)
KEY_SUBPROTOCOL = "kubevoice.key."
"""Prefix of a key among the subprotocols that a WebSocket offers."""
OPEN_FOLDER = "/webui/"
EXPOSED_HEADERS = (
    *("X-Request-Id", "X-Voice", "X-Revision", "X-Sample-Rate", "X-Cache", "X-Notices"),
    *("X-Audio-Seconds", "X-Synthesis-Seconds", "X-Queue-Seconds", "Retry-After"),
)
"""Response headers that scripts of other web sites may read."""
UNAVAILABLE_SECONDS = 5


class AccessControl:
    """The rules in force. They may change between any two requests.

    Parameters
    ----------
    config : AccessConfig or None
        The first rules; None admits all callers.
    """

    def __init__(self, config: AccessConfig | None = None) -> None:
        self.config = AccessConfig()
        """The rules; set by `configure`, read by DynamicCorsMiddleware."""
        self._keys: ApiKeyFile | None = None
        """None while no keys are required; replaced by `configure` when the path changes."""
        self._limiter: RateLimiter | None = None
        """None while there is no rate limit; replaced by `configure`, with no counts, when the rate changes."""
        self.configure(config or AccessConfig())

    def configure(self, config: AccessConfig) -> None:
        """Set new rules. The counts of callers are kept if the rate limit stays the same.

        Parameters
        ----------
        config : AccessConfig
            The new rules. They hold from the next request on.
        """
        old, self.config = self.config, config
        if config.keys_file != old.keys_file:
            self._keys = ApiKeyFile(config.keys_file) if config.keys_file else None
        if config.requests_per_minute != old.requests_per_minute:
            self._limiter = RateLimiter(config.requests_per_minute) if config.requests_per_minute else None

    def admit(self, scope: Scope) -> ApiKeyEntry | None:
        """Check a request, or the handshake of a WebSocket, and count it.

        Parameters
        ----------
        scope : Scope
            Its ASGI scope.

        Returns
        -------
        ApiKeyEntry or None
            Its key; None if no keys are required, or for an open path.

        Raises
        ------
        ApiError
            401 without a valid key, 403 for a web site that is not allowed, 429 over the rate limit, 503 while the keys
            file cannot be used.
        """
        path: str = scope["path"]
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
            return None
        headers = Headers(scope=scope)
        if scope["type"] == "websocket":
            self._check_origin(headers)
        authorization = headers.get("authorization") or _read_key_subprotocol(scope)
        entry = _authenticate(self._keys, authorization) if self._keys else None
        self._limit_rate(scope, entry.name if entry else None, 1)
        return entry

    def charge(self, scope: Scope, requests: int) -> None:
        """Count an admitted request as `requests` more.

        Parameters
        ----------
        scope : Scope
            ASGI scope of the admitted request.
        requests : int
            How many more requests it counts as.

        Raises
        ------
        ApiError
            413 if that is more than the caller may ever send at once, 429 over the rate limit.
        """
        self._limit_rate(scope, scope.get(KEY_NAME), requests)

    def _limit_rate(self, scope: Scope, name: str | None, requests: int) -> None:
        if self._limiter is None or not requests:
            return
        rule = f"each caller may send {self._limiter.requests_per_minute} requests a minute"
        if requests > self._limiter.requests_per_minute:
            message = f"{rule}, and this request counts as {requests} more; send fewer texts"
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "rate_exceeded", message)
        caller = f"key {name}" if name else f"address {_client_address(scope)}"
        if wait := self._limiter.acquire(caller, time.monotonic(), requests):
            message, retry = f"{rule}; try again in {wait} s", {"Retry-After": str(wait)}
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", message, headers=retry)

    def _check_origin(self, headers: Headers) -> None:
        """Refuse scripts of web sites that are not allowed. Browsers do not check WebSockets themselves."""
        origin, origins = headers.get("origin"), self.config.cors_origins
        if origin and urlsplit(origin).netloc != headers.get("host") and not {origin, "*"} & {*origins}:
            message = (
                f"scripts of {origin[:100]} may not call; ask the administrator of the service to add it to corsOrigins"
            )
            raise ApiError(HTTPStatus.FORBIDDEN, "origin_not_allowed", message)


def _read_key_subprotocol(scope: Scope) -> str:
    """Return the key that a WebSocket offers as a subprotocol, as an Authorization header.

    Scripts in browsers cannot set that header of a WebSocket.
    """
    offered = scope.get("subprotocols", ())
    keys = (protocol.removeprefix(KEY_SUBPROTOCOL) for protocol in offered if protocol.startswith(KEY_SUBPROTOCOL))
    return f"Bearer {next(keys, '')}"


def _client_address(scope: Scope) -> str:
    """Return the address of the client.

    Ray's proxy appends the address that called it to X-Forwarded-For; what the caller itself sent comes before it.
    """
    if forwarded := Headers(scope=scope).getlist("x-forwarded-for"):
        return forwarded[-1].rpartition(",")[2].strip()
    return str(scope["client"][0]) if scope.get("client") else "unknown"


def _authenticate(keys: ApiKeyFile, authorization: str) -> ApiKeyEntry:
    """Return the entry of the key in an Authorization header; ApiError if there is no valid one."""
    scheme, _, key = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        message = (
            "an API key is needed: send it as the header `Authorization: Bearer KEY`, "
            f"or to a WebSocket as a subprotocol `{KEY_SUBPROTOCOL}KEY`"
        )
        challenge = {"WWW-Authenticate": 'Bearer realm="kubevoice"'}
        raise ApiError(HTTPStatus.UNAUTHORIZED, "missing_api_key", message, headers=challenge)
    try:
        entry = keys.find(key.strip())
    except KubeVoiceError:  # the log says why; the message does not reveal where the file is
        message = f"the server cannot read its API keys; its log says why; try again in {UNAVAILABLE_SECONDS} s"
        retry = {"Retry-After": str(UNAVAILABLE_SECONDS)}
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "keys_unavailable", message, headers=retry) from None
    if entry is None:
        challenge = {"WWW-Authenticate": 'Bearer realm="kubevoice", error="invalid_token"'}
        message = "this API key is unknown; ask the administrator of the service for one"
        raise ApiError(HTTPStatus.UNAUTHORIZED, "invalid_api_key", message, headers=challenge)
    return entry


class AccessMiddleware:
    """ASGI middleware: a request that is not admitted is answered before its body is read.

    An admitted request has the name of its key in its scope, and its voices in ALLOWED_VOICES.

    Parameters
    ----------
    app : ASGIApp
        The application behind it.
    access : AccessControl
        The rules.
    """

    def __init__(self, app: ASGIApp, access: AccessControl) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] in ("http", "websocket"):
            try:
                entry = self._access.admit(scope)
            except ApiError as error:
                if scope["type"] == "websocket":
                    await reject_handshake(scope, receive, send, error)
                else:
                    await make_error_response(scope["path"], error)(scope, receive, send)
                return
            if entry is not None:
                scope[KEY_NAME] = entry.name
                ALLOWED_VOICES.set(entry.voices)  # each request is a task, with a context of its own
        await self._app(scope, receive, send)


class DynamicCorsMiddleware:
    """ASGI middleware: Starlette's CORSMiddleware, whose origins follow the configuration.

    It must come before AccessMiddleware, because a preflight request has no key.

    Parameters
    ----------
    app : ASGIApp
        The application behind it.
    access : AccessControl
        Its configuration has the origins.
    """

    def __init__(self, app: ASGIApp, access: AccessControl) -> None:
        self._app, self._access = app, access
        self._origins: tuple[str, ...] = ()
        self._wrapped: ASGIApp = app
        """`app` behind the middleware for `_origins`; both are replaced when the origins change."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        origins = self._access.config.cors_origins
        if origins != self._origins:
            self._origins, self._wrapped = origins, _wrap_with_cors(self._app, origins)
        await self._wrapped(scope, receive, send)


def _wrap_with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    if not origins:
        return app
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=("*",), expose_headers=EXPOSED_HEADERS
    )
