"""Writes the status of VoiceModels and VoicePools. What the API server refuses of it does not hold back the rest."""

import json
import logging
import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from kubevoice.resources.status import VoiceModelStatus, VoicePoolStatus
from pydantic import BaseModel, ValidationError

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.keys import OwnerKey
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.requests import ApiException

__all__ = ["StatusWriter"]

logger = logging.getLogger(__name__)

ESSENTIAL = ("observedGeneration", "phase", "conditions")
FIELD = re.compile(r"\.?status\.(\w+)")
Object = dict[str, Any]


class StatusWriter:
    """Writes statuses.

    A status replaces the one before as a whole. Applying it on the server side would turn a map that became empty into
    null, which the schema forbids, and would keep fields that another manager wrote. It is written only over the
    version that it was made from: a leader that was suspended while it wrote must not undo what its successor wrote.

    Parameters
    ----------
    api
        The API server.
    metrics
        Refusals are counted there.
    """

    def __init__(self, api: KubernetesApi, metrics: OperatorMetrics) -> None:
        self._api, self._metrics = api, metrics

    async def write(
        self, key: OwnerKey, raw: Mapping[str, Any], status: VoiceModelStatus | VoicePoolStatus
    ) -> Object | None:
        """Write a status unless the server has it. Fields that the API server refuses keep their previous values.

        Parameters
        ----------
        key
            Namespace and name of the VoiceModel or VoicePool.
        raw
            The object that the status was made from.
        status
            The status to write.

        Returns
        -------
        dict or None
            The object after the change; None if nothing was written: the status is the same, or the object has
            changed, of which the watch brings an event.

        Raises
        ------
        ApiException
            For an error that is not a refusal of the status.
        aiohttp.ClientError, OSError, TimeoutError
            If the API server does not answer.
        """
        previous, body = dict(raw.get("status") or {}), _to_json(status)
        kind = type(status)
        if previous and _parse_status(kind, previous) == _parse_status(kind, body):
            return None
        for attempt in (_keep_refused, _keep_all_but_essential, None):
            try:
                return await self._api.replace_status(key, raw["metadata"]["resourceVersion"], body)
            except ApiException as error:
                if error.status == HTTPStatus.CONFLICT:
                    return None
                if error.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
                    raise
                refusal = _parse(error)
            self._metrics.status_refusals.inc()
            logger.error("the API server refuses a status: %s", refusal.get("message"), extra={"voicemodel": key})
            if attempt is not None:
                body = attempt(body, previous, refusal)
        return None


def _parse_status(kind: type[BaseModel], body: Object) -> BaseModel | None:
    """Return a status with its defaults filled in; None if it is not valid."""
    try:
        return kind.model_validate(body)
    except ValidationError:
        return None


def _to_json(status: BaseModel) -> Object:
    """Return what is sent: without numbers that JSON cannot represent."""
    body: Object = _drop_non_finite(status.model_dump(mode="json", by_alias=True, exclude_none=True))
    return body


def _drop_non_finite(value: Any) -> Any:
    if isinstance(value, dict):
        finite = {k: v for k, v in value.items() if not isinstance(v, float) or math.isfinite(v)}
        return {k: _drop_non_finite(v) for k, v in finite.items()}
    return [_drop_non_finite(item) for item in value] if isinstance(value, list) else value


def _parse(error: ApiException) -> Object:
    """Return the API server's Status object; with the reason alone if there is none."""
    try:
        refusal = json.loads(error.body or "")
    except ValueError:
        refusal = None
    return refusal if isinstance(refusal, dict) else {"message": error.reason}


def _keep_refused(body: Object, previous: Object, refusal: Object) -> Object:
    """Return the status with the previous values of the fields that the API server names."""
    causes = (refusal.get("details") or {}).get("causes") or []
    names = {match[1] for cause in causes if (match := FIELD.match(cause.get("field", "")))}
    return {k: v for k, v in body.items() if k not in names} | {k: previous[k] for k in names & previous.keys()}


def _keep_all_but_essential(body: Object, previous: Object, refusal: Object) -> Object:  # noqa: ARG001
    """Return the previous status with the new phase and conditions."""
    return previous | {k: body[k] for k in ESSENTIAL if k in body}
