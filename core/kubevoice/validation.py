"""The base of our pydantic models, and pydantic's errors in one line each."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["CamelModel", "describe_errors", "field_path"]


class CamelModel(BaseModel):
    """A model with camelCase keys in JSON, as Kubernetes writes them; immutable, and without unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


def field_path(location: Sequence[int | str], root: str) -> str:
    """Join the `loc` of a pydantic error with dots.

    Parameters
    ----------
    location
        Keys and indices.
    root
        Name of the whole document, for an empty location.

    Returns
    -------
    str
        As in `spec.dataset.uri`.
    """
    return ".".join(map(str, location)) or root


def describe_errors(errors: Iterable[Any], root: str = "document", unknown: str = "unknown field") -> list[str]:
    """Write each of pydantic's `errors()` as "field.path: message, not VALUE".

    Parameters
    ----------
    errors
        What `ValidationError.errors()` returns.
    root
        Name of the whole document, for errors that concern no single field.
    unknown
        The message for a field that does not exist.

    Returns
    -------
    list of str
        One line for each error, in pydantic's order.
    """
    return [f"{field_path(error['loc'], root)}: {_describe_error(error, unknown)}" for error in errors]


def _describe_error(error: Any, unknown: str) -> str:
    if error["type"] == "extra_forbidden":
        return unknown
    message, value = str(error["msg"]).removeprefix("Value error, "), error.get("input")
    rejected = f", not {value!r}" if isinstance(value, str | int | float | bool) else ""
    return f"{message[:1].lower()}{message[1:]}{rejected}"
