"""Who may call, how often, and from which web sites: the middleware before the routes."""

import logging
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from kubevoice.errors import KubeVoiceError
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from kubevoice_serving.http.api_keys import KeysFile
from kubevoice_serving.http.errors import ApiError, answer
from kubevoice_serving.http.rate_limits import Rates
from kubevoice_serving.http.websocket_errors import turn_away
from kubevoice_serving.routing.tracks import AccessConfig

__all__ = ["KEY_NAME", "Access", "Cors", "Gate"]

logger = logging.getLogger(__name__)

KEY_NAME = "kubevoice.key"
"""Where a request's scope has the name of its key."""
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
KEY_PROTOCOL = "kubevoice.key."
"""Before a key among the subprotocols that a WebSocket offers."""
OPEN_FOLDER = "/webui/"
EXPOSED = (
    *("X-Request-Id", "X-Voice", "X-Revision", "X-Sample-Rate", "X-Cache", "X-Notices"),
    *("X-Audio-Seconds", "X-Synthesis-Seconds", "X-Queue-Seconds", "Retry-After"),
)
UNAVAILABLE_SECONDS = 5


class Access:
    """The rules in force. They may change between any two requests."""

    def __init__(self, config: AccessConfig | None = None) -> None:
        self.config = AccessConfig()
        self._keys: KeysFile | None = None
        self._rates: Rates | None = None
        self.configure(config or AccessConfig())

    def configure(self, config: AccessConfig) -> None:
        """Take other rules; what is known of callers stays as far as it can."""
        before, self.config = self.config, config
        if config.keys_file != before.keys_file:
            self._keys = KeysFile(config.keys_file) if config.keys_file else None
        if config.requests_per_minute != before.requests_per_minute:
            self._rates = Rates(config.requests_per_minute) if config.requests_per_minute else None

    def admit(self, scope: Scope) -> str | None:
        """Let a request pass and return the name of its key, if keys are asked for. Raises ApiError if it may not.

        A WebSocket is a request, too.
        """
        path: str = scope["path"]
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
            return None
        headers = Headers(scope=scope)
        if scope["type"] == "websocket":
            self._check_origin(headers)
        name = _known(self._keys, headers.get("authorization") or _offered(scope)) if self._keys else None
        self._count(scope, name, 1)
        return name

    def charge(self, scope: Scope, requests: int) -> None:
        """Count an admitted request as so many more. Raises ApiError if that is more than its caller may."""
        self._count(scope, scope.get(KEY_NAME), requests)

    def _count(self, scope: Scope, name: str | None, requests: int) -> None:
        if self._rates is None or not requests:
            return
        rule = f"at most {self._rates.per_minute} requests a minute are taken of each caller"
        if requests > self._rates.per_minute:
            message = f"{rule}, and this counts as {requests} more; send fewer at once"
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "rate_exceeded", message)
        caller = f"key {name}" if name else f"address {_address(scope)}"
        if wait := self._rates.take(caller, time.monotonic(), requests):
            message, retry = f"{rule}; try again in {wait} s", {"Retry-After": str(wait)}
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", message, headers=retry)

    def _check_origin(self, headers: Headers) -> None:
        """Refuse scripts of sites that are not named. Of a WebSocket browsers do not see to it themselves."""
        origin, origins = headers.get("origin"), self.config.cors_origins
        if origin and urlsplit(origin).netloc != headers.get("host") and not {origin, "*"} & {*origins}:
            message = f"scripts of {origin[:100]} may not call; whoever runs the service can name it in corsOrigins"
            raise ApiError(HTTPStatus.FORBIDDEN, "origin_not_allowed", message)


def _offered(scope: Scope) -> str:
    """Return the key that a WebSocket offers as a subprotocol, as the header would: browsers can set none."""
    keys = (one.removeprefix(KEY_PROTOCOL) for one in scope.get("subprotocols", ()) if one.startswith(KEY_PROTOCOL))
    return f"Bearer {next(keys, '')}"


def _address(scope: Scope) -> str:
    """Return who called the proxy before us, which puts that behind what callers say of themselves."""
    if told := Headers(scope=scope).getlist("x-forwarded-for"):
        return told[-1].rpartition(",")[2].strip()
    return str(scope["client"][0]) if scope.get("client") else "unknown"


def _known(keys: KeysFile, authorization: str) -> str:
    """Return whose key the header has; ApiError if there is none, or nobody's."""
    scheme, _, key = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        message = (
            "an API key is needed: send it as the header `Authorization: Bearer KEY`, "
            f"or to a WebSocket as a subprotocol `{KEY_PROTOCOL}KEY`"
        )
        challenge = {"WWW-Authenticate": 'Bearer realm="kubevoice"'}
        raise ApiError(HTTPStatus.UNAUTHORIZED, "missing_api_key", message, headers=challenge)
    try:
        name = keys.find(key.strip())
    except KubeVoiceError:  # the log says why; a caller need not know where the file lies
        message = f"the server cannot read its API keys; its log says why; try again in {UNAVAILABLE_SECONDS} s"
        retry = {"Retry-After": str(UNAVAILABLE_SECONDS)}
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "keys_unavailable", message, headers=retry) from None
    if name is None:
        challenge = {"WWW-Authenticate": 'Bearer realm="kubevoice", error="invalid_token"'}
        message = "this API key is not known here; ask whoever runs the service for one"
        raise ApiError(HTTPStatus.UNAUTHORIZED, "invalid_api_key", message, headers=challenge)
    return name


class Gate:
    """ASGI middleware: whom the rules do not admit is answered before anything of the body is read."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] in ("http", "websocket"):
            try:
                scope[KEY_NAME] = self._access.admit(scope)
            except ApiError as error:
                if scope["type"] == "websocket":
                    await turn_away(scope, receive, send, error)
                else:
                    await answer(scope["path"], error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Cors:
    """ASGI middleware: Starlette's for the origins of now. It stands before the gate: preflights carry no key."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._origins: tuple[str, ...] = ()
        self._served: ASGIApp = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        origins = self._access.config.cors_origins
        if origins != self._origins:
            self._origins, self._served = origins, _with_cors(self._app, origins)
        await self._served(scope, receive, send)


def _with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    if not origins:
        return app
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=("*",), expose_headers=EXPOSED
    )
