"""Applying what was rendered, marked with its hash, and saying why the API server does not take it."""

import json
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any

from kubevoice.resources.conditions import Reason

from kubevoice_operator.cluster.api import ApiException, KubernetesApi
from kubevoice_operator.cluster.cache import Cache, Key
from kubevoice_operator.observe import Observed
from kubevoice_operator.plan import Plan
from kubevoice_operator.render.names import HASH_ANNOTATION, content_hash

__all__ = ["apply", "expose", "refusal_of"]

REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
UNKNOWN_FIELD = "field not declared in schema"
"""A CRD older than what is applied to it, which the API server calls an error of its own (500)."""
NO_GATEWAY_API = (
    "the cluster has no such resource (gateway.networking.k8s.io/v1); install the Gateway API, and it will be made "
    "without more ado, or name an ingress in its place"
)


def _refusal(error: ApiException) -> str:
    """Return what the API server says of what it refuses, and would refuse the next moment, too.

    Raises the error again if it is no refusal.
    """
    if error.status not in REFUSALS and UNKNOWN_FIELD not in (error.body or ""):
        raise error
    try:
        said = str(json.loads(error.body or "")["message"])[:1000]
    except (ValueError, KeyError, TypeError):
        said = str(error.reason)
    return f"the API server refuses it: {said}"


async def refusal_of(request: Awaitable[None]) -> str | None:
    """Return what the API server says if it refuses a request. Raises ApiException for what is no refusal."""
    try:
        await request
    except ApiException as error:
        return _refusal(error)
    return None


async def apply(api: KubernetesApi, cache: Cache, wanted: Mapping[str, Any], *, ours: bool) -> None:
    """Apply an object, by force if it is `ours` already. Raises ApiException."""
    meta = wanted["metadata"]
    annotations = meta.get("annotations", {}) | {HASH_ANNOTATION: content_hash(dict(wanted))}
    stamped = {**wanted, "metadata": meta | {"annotations": annotations}}
    if (found := await api.apply(stamped, ours=ours)) is not None:
        cache.put(found)


async def expose(
    api: KubernetesApi, cache: Cache, key: Key, decided: Plan, observed: Observed
) -> dict[str, tuple[Reason, str]]:
    """Make and delete ways in as the plan says; return why one cannot be made, by kind: the others are made yet.

    Raises ApiException for what is no refusal.
    """
    hindered: dict[str, tuple[Reason, str]] = {}
    ours = observed.exposure.applied if observed.exposure else {}
    for kind in decided.unexpose:
        await api.delete(kind, key)
    for wanted in decided.expose:
        kind = wanted["kind"]
        try:
            await apply(api, cache, wanted, ours=kind in ours)
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND and kind == "HTTPRoute":
                hindered[kind] = Reason.GATEWAY_API_NOT_INSTALLED, NO_GATEWAY_API
            else:
                hindered[kind] = Reason.REFUSED_BY_API, _refusal(error)
    return hindered
