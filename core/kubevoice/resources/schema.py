"""How a pydantic field says what the CRD shall enforce: lengths, list types, CEL rules.

A rule is written once, in CEL: the API server evaluates it from the CRD, and loading a file evaluates it here.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, Self

from pydantic import model_validator

from kubevoice.validation import CamelModel

__all__ = [
    "DNS_LABEL",
    "DNS_NAME",
    "Part",
    "StatusPart",
    "build_default_rule",
    "cel",
    "immutable",
    "list_type",
    "open_object",
]

RULES = "x-kubernetes-validations"
DNS_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
DNS_NAME = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
"""What Kubernetes allows as the name of most objects."""


@cache
def _load_cel() -> Any:
    """Load the extension module of the package `cel` alone: the package imports its command line too, for a second."""
    package = find_spec("cel")
    extension = package and PathFinder.find_spec("cel", package.submodule_search_locations)
    if extension is None or extension.loader is None:
        raise ImportError("common-expression-language is not installed")
    module = module_from_spec(extension)
    extension.loader.exec_module(module)
    return module


@cache
def _compile(rule: str) -> Any:
    """Compiling takes longer than everything else that loading does."""
    return _load_cel().compile(rule)


class Part(CamelModel):
    """Base of every part of the resource: its CEL rules are checked when it is loaded."""

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        extra = self.model_config.get("json_schema_extra")
        rules: Any = extra.get(RULES, []) if isinstance(extra, dict) else []
        if rules:
            me = self.model_dump(mode="json", by_alias=True, exclude_none=True)
            broken = [r["message"] for r in rules if not _compile(r["rule"]).execute({"self": me})]
            if broken:
                raise ValueError("; ".join(broken))
        return self


class StatusPart(Part):
    """Base of every part of the status: what is longer than the schema allows is cut, not refused."""

    @model_validator(mode="before")
    @classmethod
    def _cut(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        limits = _max_lengths(cls)
        long = [k for k, v in data.items() if k in limits and isinstance(v, str | tuple | list) and len(v) > limits[k]]
        return data | {k: data[k][: limits[k]] for k in long} if long else data


@cache
def _max_lengths(model: type[Part]) -> dict[str, int]:
    """Return the longest length of each field that has one, by its name and by its alias."""
    return {
        name: item.max_length
        for field, info in model.model_fields.items()
        for item in info.metadata
        if hasattr(item, "max_length")
        for name in (field, info.alias or field)
    }


def cel(*rules: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Build the schema extras of CEL rules.

    Returns
    -------
    dict
        Values for a field's `json_schema_extra`.
    """
    return {RULES: [{"rule": rule, "message": text} for rule, text in rules], **more}


def build_default_rule(unless: str, defaults: Mapping[str, Any], path: str) -> str:
    """Build a CEL rule by which fields have their defaults, as the API server has filled them in.

    Parameters
    ----------
    unless
        A CEL condition under which they may have other values.
    defaults
        The defaults by name, as JSON.
    path
        CEL expression of the object that has the fields.

    Returns
    -------
    str
        The rule.
    """
    return f"{unless} || ({' && '.join(_iter_defaults(defaults, path))})"


def _iter_defaults(values: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield a CEL condition for each field: that it has its default."""
    for name, value in values.items():
        field = f"{path}.{name}"
        if value is None:
            yield f"!has({field})"
        elif value in ({}, []):
            yield f"(!has({field}) || size({field}) == 0)"
        elif isinstance(value, dict):
            yield from _iter_defaults(value, field)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            # A whole number is an integer in YAML, even where the schema has a number.
            yield f"double({field}) == {float(value)!r}"
        else:
            yield f"{field} == {json.dumps(value)}"


def immutable(field: str) -> dict[str, Any]:
    """Build the schema extras of a field that cannot change, because a change could not be honoured.

    Parameters
    ----------
    field
        Name of the field, for the API server's message.

    Returns
    -------
    dict
        Values for a field's `json_schema_extra`.
    """
    return cel(("self == oldSelf", f"{field} cannot be changed; make another VoiceModel"))


def list_type(kind: str, *keys: str) -> dict[str, Any]:
    """Build the schema extras that say how server-side apply merges a list.

    Parameters
    ----------
    kind
        atomic, set, or map (by `keys`).

    Returns
    -------
    dict
        Values for a field's `json_schema_extra`.
    """
    return {"x-kubernetes-list-type": kind} | ({"x-kubernetes-list-map-keys": list(keys)} if keys else {})


def open_object() -> dict[str, Any]:
    """Build the schema extras of a part of a Kubernetes object that is passed on as it is.

    Returns
    -------
    dict
        Values for a field's `json_schema_extra`.
    """
    return {"x-kubernetes-preserve-unknown-fields": True}
