"""Applies rendered objects, annotated with their hash, and reports why the API server refuses one."""

import json
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any

from kubevoice.resources.conditions import Reason

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.cluster.requests import ApiException
from kubevoice_operator.observed_state import ObservedState
from kubevoice_operator.render.names import HASH_ANNOTATION, content_hash
from kubevoice_operator.service_plan import ServicePlan

__all__ = ["apply_exposure", "apply_object", "catch_refusal"]

REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
UNKNOWN_FIELD = "field not declared in schema"
"""In the message of a 500 when the installed CRD is older than the object applied to it."""
NO_GATEWAY_API = (
    "the cluster has no such resource (gateway.networking.k8s.io/v1); install the Gateway API, and it will be created, "
    "or set spec.serving.expose.ingress in its place"
)


def _refusal(error: ApiException) -> str:
    """Return the API server's message of a refusal, which a retry would not change; raise any other error again."""
    if error.status not in REFUSALS and UNKNOWN_FIELD not in (error.body or ""):
        raise error
    try:
        message = str(json.loads(error.body or "")["message"])[:1000]
    except (ValueError, KeyError, TypeError):
        message = str(error.reason)
    return f"the API server refuses it: {message}"


async def catch_refusal(request: Awaitable[None]) -> str | None:
    """Await a request; return the API server's message if it refuses it, None if it succeeds.

    Parameters
    ----------
    request
        A request to the API server.

    Returns
    -------
    str or None
        The message of the refusal.

    Raises
    ------
    ApiException
        For an error that is not a refusal.
    """
    try:
        await request
    except ApiException as error:
        return _refusal(error)
    return None


async def apply_object(api: KubernetesApi, cache: ResourceCache, wanted: Mapping[str, Any], *, ours: bool) -> None:
    """Apply an object on the server side.

    Parameters
    ----------
    api
        The Kubernetes API.
    cache
        Gets the answer.
    wanted
        The object as rendered.
    ours
        Whether the operator owns the object already; only then conflicts are forced.

    Raises
    ------
    ApiException
        If the API server refuses a request or does not answer.
    """
    meta = wanted["metadata"]
    annotations = meta.get("annotations", {}) | {HASH_ANNOTATION: content_hash(dict(wanted))}
    annotated = {**wanted, "metadata": meta | {"annotations": annotations}}
    if (applied := await api.apply(annotated, ours=ours)) is not None:
        cache.put(applied)


async def apply_exposure(
    api: KubernetesApi, cache: ResourceCache, key: Key, desired: ServicePlan, observed: ObservedState
) -> dict[str, tuple[Reason, str]]:
    """Apply and delete exposure objects as the plan says.

    Parameters
    ----------
    api
        The Kubernetes API.
    cache
        Gets the answers.
    key
        Namespace and name of the objects.
    desired
        The plan, with the exposure objects to apply and to delete.
    observed
        What exists.

    Returns
    -------
    dict
        Reason and message of each kind that was refused; the others are applied all the same.

    Raises
    ------
    ApiException
        For an error that is not a refusal.
    """
    exposure_errors: dict[str, tuple[Reason, str]] = {}
    ours = observed.exposure.applied if observed.exposure else {}
    for kind in desired.unexpose:
        await api.delete(kind, key)
    for wanted in desired.expose:
        kind = wanted["kind"]
        try:
            await apply_object(api, cache, wanted, ours=kind in ours)
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND and kind == "HTTPRoute":
                exposure_errors[kind] = Reason.GATEWAY_API_NOT_INSTALLED, NO_GATEWAY_API
            else:
                exposure_errors[kind] = Reason.REFUSED_BY_API, _refusal(error)
    return exposure_errors
