"""Calls to Ray Serve replicas, with Ray's ways of saying "not now" turned into ours."""

import asyncio
import math
from collections.abc import Awaitable
from typing import Any, TypeVar

from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from kubevoice_serving.replica.synthesizer import ReplicaState
from kubevoice_serving.routing.backend import BusyError, UnavailableError

__all__ = ["replica_states", "translated"]

T = TypeVar("T")

STATE_SECONDS = 5.0
"""A replica that does not tell its state within this time is left out."""


async def translated(answer: Awaitable[T]) -> T:
    """Await an answer; BusyError or UnavailableError if there is none to be had now."""
    try:
        return await answer
    except BackPressureError as error:
        raise BusyError(math.ceil(error.retry_after_s or 1)) from None
    except asyncio.CancelledError:
        raise
    except (RayServeException, RayError) as error:
        raise UnavailableError("no replica can answer now") from error


async def replica_states(handle: DeploymentHandle[Any]) -> list[ReplicaState]:
    """Ask every running replica what it serves."""
    try:
        answers = await handle.broadcast("state").results_async(timeout_s=STATE_SECONDS, return_exceptions=True)
    except (RayServeException, TimeoutError):  # none is running
        return []
    return [answer for answer in answers if isinstance(answer, ReplicaState)]
