"""How a pydantic field says what the CRD shall enforce: lengths, list types, CEL rules."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["Part", "cel", "immutable", "list_type", "open_object"]


class Part(BaseModel):
    """Base of every part of the resource: camelCase on the wire, immutable, no unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


def cel(*rules: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Schema extras with CEL rules, each (expression, message)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": text} for rule, text in rules], **more}


def immutable(what: str) -> dict[str, Any]:
    """Schema extras for a field that cannot change, because a change could not be honoured."""
    return cel(("self == oldSelf", f"{what} cannot be changed; make another VoiceModel"))


def list_type(kind: str, *keys: str) -> dict[str, Any]:
    """Schema extras that say how server-side apply merges a list: atomic, set, or map by `keys`."""
    return {"x-kubernetes-list-type": kind} | ({"x-kubernetes-list-map-keys": list(keys)} if keys else {})


def open_object() -> dict[str, Any]:
    """Schema extras for a piece of a Kubernetes object that is passed on as it is."""
    return {"x-kubernetes-preserve-unknown-fields": True}
