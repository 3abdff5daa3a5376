"""Calls to Ray Serve replicas, with Ray's exceptions translated into AtCapacityError and UnavailableError."""

import asyncio
import logging
import math
from collections.abc import Awaitable
from typing import Any, TypeVar

from kubevoice.resources.data_plane import ReplicaState
from ray.exceptions import RayError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from kubevoice_serving.domain import AtCapacityError, UnavailableError

__all__ = ["await_replica", "handle_loop_error", "query_replicas"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

STATE_SECONDS = 5.0
"""A replica that does not report its state within this time is left out."""


async def await_replica(response: Awaitable[T | AtCapacityError | UnavailableError]) -> T:
    """Await the response of a call to a replica.

    Parameters
    ----------
    response : awaitable
        Ray's response of a call, or the next item of its stream.

    Returns
    -------
    T
        What the replica returned.

    Raises
    ------
    AtCapacityError
        If Ray's queue before the replicas is full, or if the replica says so.
    UnavailableError
        If the replica is lost, if its method raised, or if it cannot load the voice.
    """
    try:
        outcome = await response
    except BackPressureError as error:
        raise AtCapacityError(retry_after=math.ceil(error.retry_after_s or 1)) from None
    except asyncio.CancelledError:
        raise
    except (RayServeException, RayError) as error:
        raise UnavailableError("no replica can answer now") from error
    if isinstance(outcome, AtCapacityError | UnavailableError):
        raise outcome
    return outcome


def handle_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an exception that nobody awaits; a call that was cancelled because the caller left is none.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The event loop, whose handler this is.
    context : dict
        As asyncio describes it.
    """
    if isinstance(context.get("exception"), TaskCancelledError):
        logger.debug("a call to a replica was cancelled: the caller left")
    else:
        loop.default_exception_handler(context)


async def query_replicas(handle: DeploymentHandle[Any]) -> list[ReplicaState]:
    """Query the state of every running replica of a deployment.

    Parameters
    ----------
    handle : DeploymentHandle
        The deployment `Synthesizer` of an application.

    Returns
    -------
    list of ReplicaState
        The states of the replicas that answer within STATE_SECONDS; empty if none is running.
    """
    try:
        states = await handle.broadcast("get_state").results_async(timeout_s=STATE_SECONDS, return_exceptions=True)
    except (RayServeException, TimeoutError):  # none is running
        return []
    return [state for state in states if isinstance(state, ReplicaState)]
