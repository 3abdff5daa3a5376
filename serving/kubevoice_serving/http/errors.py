"""Errors over HTTP: one JSON form, and a status that tells the caller's errors from the server's."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kubevoice.validation import field_path
from starlette.exceptions import HTTPException

from kubevoice_serving.domain import AtCapacityError, Refusal, UnavailableError
from kubevoice_serving.http.schemas import ErrorBody, ErrorResponse

__all__ = [
    "ERRORS",
    "ApiError",
    "SilentTextError",
    "add_error_handlers",
    "make_error_body",
    "make_error_response",
    "make_invalid_value_error",
    "make_refusal_error",
    "make_retry_error",
]

ERROR_STATUSES = (400, 401, 403, 404, 413, 415, 422, 429, 503)
ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorResponse} for status in ERROR_STATUSES}
"""Error responses of a route that synthesizes, for the OpenAPI document."""


class ApiError(HTTPException):
    """A response other than success. FastAPI treats any other exception while it reads a body as malformed JSON.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Short name of the error, stable for programs.
    message : str
        What is wrong and what to do about it.
    param : str or None
        Field of the request that is at fault.
    problems : sequence of str
        Every fault, if there are several.
    headers : mapping of str to str or None
        Additional response headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        problems: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.status, self.code, self.message = status, code, message
        self.param, self.problems = param, problems


class SilentTextError(ApiError):
    """Nothing in the text can be spoken; 400, unless a route answers it otherwise.

    Parameters
    ----------
    message : str
        What is wrong.
    param : str
        Field that the text came in.
    """

    def __init__(self, message: str, param: str) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, "cannot_speak", message, param=param)


def make_refusal_error(refusal: Refusal, param: str) -> ApiError:
    """Return the error for text or controls that the voice cannot synthesize.

    Parameters
    ----------
    refusal : Refusal
        What is wrong.
    param : str
        Field of the request that the text came in.

    Returns
    -------
    ApiError
        400 `cannot_speak`, or 404 `unknown_voice`.
    """
    if refusal.unknown_voice:
        return ApiError(HTTPStatus.NOT_FOUND, "unknown_voice", refusal.message, param="voice")
    if refusal.silent:
        return SilentTextError(refusal.message, param)
    return ApiError(HTTPStatus.BAD_REQUEST, "cannot_speak", refusal.message, param=param, problems=refusal.problems)


def make_retry_error(error: AtCapacityError | UnavailableError) -> ApiError:
    """Return the error for a request that no replica can answer now.

    Parameters
    ----------
    error : AtCapacityError or UnavailableError
        Why no replica can answer.

    Returns
    -------
    ApiError
        429 `busy` or 503 `unavailable`, with Retry-After in seconds.
    """
    at_capacity = isinstance(error, AtCapacityError)
    status = HTTPStatus.TOO_MANY_REQUESTS if at_capacity else HTTPStatus.SERVICE_UNAVAILABLE
    code = "busy" if at_capacity else "unavailable"
    message = f"{error}; try again in {error.retry_after} s"
    return ApiError(status, code, message, headers={"Retry-After": str(error.retry_after)})


def make_invalid_value_error(faults: Iterable[tuple[str, str]]) -> ApiError:
    """Return the error for JSON whose values are wrong.

    Parameters
    ----------
    faults : iterable of (str, str)
        Name of each field and what is wrong with it; at least one.

    Returns
    -------
    ApiError
        422 `invalid_value`; its message is that of the first fault.
    """
    faults = list(faults)
    problems = [f"{name}: {message}" for name, message in faults]
    return ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_value", problems[0], param=faults[0][0], problems=problems
    )


def make_error_body(error: ApiError) -> ErrorBody:
    """Return an error as JSON.

    Parameters
    ----------
    error : ApiError
        The error.

    Returns
    -------
    ErrorBody
        The error as JSON; its `type` says whether the caller or the server is at fault.
    """
    kind = "invalid_request_error" if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return ErrorBody(
        message=error.message, type=kind, code=error.code, param=error.param, problems=list(error.problems)
    )


def make_error_response(path: str, error: ApiError) -> JSONResponse:
    """Return the response for an error.

    Parameters
    ----------
    path : str
        Path of the request. Under /api/ the body has the message alone.
    error : ApiError
        The error.

    Returns
    -------
    JSONResponse
        The response with the status and headers of the error.
    """
    if path.startswith("/api/"):
        return JSONResponse({"error": error.message}, error.status, error.headers)
    return JSONResponse(ErrorResponse(error=make_error_body(error)).model_dump(), error.status, error.headers)


async def _handle_api_error(request: Request, error: ApiError) -> JSONResponse:
    return make_error_response(request.url.path, error)


async def _handle_retry_error(request: Request, error: AtCapacityError | UnavailableError) -> JSONResponse:
    return make_error_response(request.url.path, make_retry_error(error))


async def _handle_http_error(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == HTTPStatus.BAD_REQUEST and (reason := _explain_unreadable(error.__cause__)):
        message = f"the body cannot be read as JSON: {reason}"
        return make_error_response(request.url.path, ApiError(HTTPStatus.BAD_REQUEST, "invalid_json", message))
    message = f"{request.method} {request.url.path}: {error.detail}"
    code = HTTPStatus(error.status_code).name.lower()
    return make_error_response(request.url.path, ApiError(error.status_code, code, message, headers=error.headers))


def _explain_unreadable(cause: BaseException | None) -> str | None:
    """Return why FastAPI could not read a body; None if the cause is the JSON's syntax."""
    match cause:
        case UnicodeDecodeError():
            return "it is not in UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case ValueError():
            return "a number in it has too many digits"
        case _:
            return None


async def _handle_validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer malformed JSON with 400 and its position, and wrong values with 422 and their names."""
    faults = error.errors()
    if faults[0]["type"] == "json_invalid":
        reason = f"the body is not JSON: {faults[0]['ctx']['error']} at character {faults[0]['loc'][-1]}"
        return make_error_response(request.url.path, ApiError(HTTPStatus.BAD_REQUEST, "invalid_json", reason))
    if faults[0]["loc"] == ("body",) and isinstance(faults[0]["input"], bytes):  # FastAPI has not parsed it
        content_type = request.headers.get("content-type")
        problem = f"the Content-Type is {content_type[:100]}" if content_type else "the request has no Content-Type"
        reason = f"{problem}; send the body as JSON with the header Content-Type: application/json"
        unsupported = ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", reason)
        return make_error_response(request.url.path, unsupported)
    named = ((field_path(fault["loc"][1:], "body"), fault["msg"]) for fault in faults)
    return make_error_response(request.url.path, make_invalid_value_error(named))


def add_error_handlers(app: FastAPI) -> None:
    """Make `app` answer expected errors in this form; `ObservabilityMiddleware` answers unexpected ones.

    Parameters
    ----------
    app : FastAPI
        The application, whose exception handlers are set.
    """
    app.exception_handler(ApiError)(_handle_api_error)
    app.exception_handler(AtCapacityError)(_handle_retry_error)
    app.exception_handler(UnavailableError)(_handle_retry_error)
    app.exception_handler(HTTPException)(_handle_http_error)
    app.exception_handler(RequestValidationError)(_handle_validation_error)
