"""Errors over HTTP: one JSON shape, a status that says whose mistake it is, never a traceback."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from kubevoice_serving.domain import Refusal
from kubevoice_serving.http.schemas import ErrorAnswer, ErrorBody
from kubevoice_serving.routing.backend import BusyError, UnavailableError

__all__ = ["ERRORS", "ApiError", "add_error_handlers", "answer", "api_error", "invalid_value", "refuse", "told"]

ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorAnswer} for status in (400, 401, 413, 422, 429, 503)}
"""What a route that speaks may answer instead, for the OpenAPI document."""


class ApiError(HTTPException):
    """An answer other than success. FastAPI takes any other exception while it reads a body for bad JSON."""

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


def refuse(refusal: Refusal, param: str) -> ApiError:
    """Return the error for text or controls that no voice here can speak."""
    return ApiError(HTTPStatus.BAD_REQUEST, "cannot_speak", refusal.message, param=param, problems=refusal.problems)


def api_error(error: BusyError | UnavailableError) -> ApiError:
    """Return what is told when no replica can answer now."""
    busy = isinstance(error, BusyError)
    status = HTTPStatus.TOO_MANY_REQUESTS if busy else HTTPStatus.SERVICE_UNAVAILABLE
    message = f"{error}; try again in {error.retry_after} s"
    return ApiError(status, "busy" if busy else "unavailable", message, headers={"Retry-After": str(error.retry_after)})


def invalid_value(faults: Iterable[tuple[str, str]]) -> ApiError:
    """Return the error for JSON whose values are wrong, from the name and the fault of each."""
    named = list(faults)
    problems = [f"{name}: {message}" for name, message in named]
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_value", problems[0], param=named[0][0], problems=problems)


def told(error: ApiError) -> ErrorBody:
    """Return an error in the one shape."""
    kind = "invalid_request_error" if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return ErrorBody(
        message=error.message, type=kind, code=error.code, param=error.param, problems=list(error.problems)
    )


def answer(path: str, error: ApiError) -> JSONResponse:
    """Return what is sent for an error of a request to `path`."""
    if path.startswith("/api/"):
        return JSONResponse({"error": error.message}, error.status, error.headers)
    return JSONResponse(ErrorAnswer(error=told(error)).model_dump(), error.status, error.headers)


async def _api_error(request: Request, error: ApiError) -> JSONResponse:
    return answer(request.url.path, error)


async def _busy(request: Request, error: BusyError | UnavailableError) -> JSONResponse:
    return answer(request.url.path, api_error(error))


async def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == HTTPStatus.BAD_REQUEST and (reason := _unreadable(error.__cause__)):
        message = f"the body is not JSON that can be read: {reason}"
        return answer(request.url.path, ApiError(HTTPStatus.BAD_REQUEST, "invalid_json", message))
    message = f"{request.method} {request.url.path}: {error.detail}"
    code = HTTPStatus(error.status_code).name.lower()
    return answer(request.url.path, ApiError(error.status_code, code, message, headers=error.headers))


def _unreadable(cause: BaseException | None) -> str | None:
    """Say what kept FastAPI from reading a body, other than JSON's grammar; None if that was not it."""
    match cause:
        case UnicodeDecodeError():
            return "it is not in UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case ValueError():
            return "a number in it has too many digits"
        case _:
            return None


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """Malformed JSON is 400 with its position; well-formed JSON with wrong values is 422 with their names."""
    faults = error.errors()
    if faults[0]["type"] == "json_invalid":
        reason = f"the body is not JSON: {faults[0]['ctx']['error']} at character {faults[0]['loc'][-1]}"
        return answer(request.url.path, ApiError(HTTPStatus.BAD_REQUEST, "invalid_json", reason))
    named = ((".".join(map(str, fault["loc"][1:])) or "body", fault["msg"]) for fault in faults)
    return answer(request.url.path, invalid_value(named))


def add_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every foreseen error in the one shape; metrics.Observer answers the unforeseen."""
    app.exception_handler(ApiError)(_api_error)
    app.exception_handler(BusyError)(_busy)
    app.exception_handler(UnavailableError)(_busy)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_invalid)
