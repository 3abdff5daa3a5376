"""Requests to the canary: another application of the same Ray, which may start and end at any time."""

import asyncio
import logging
import random
from collections.abc import Coroutine
from typing import Any

from kubevoice.resources.data_plane import ReplicaState
from ray.serve.handle import DeploymentHandle

from kubevoice_serving.domain import Refusal, SynthesisRequest, SynthesisResult
from kubevoice_serving.routing.replica_calls import await_replica, query_replicas

__all__ = ["Canary", "CanaryGoneError"]

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Time between two checks whether a replica serves the canary revision."""


class CanaryGoneError(Exception):
    """The canary ended before one of its replicas took the request."""


class Canary:
    """The replicas of a canary revision. They get requests only while one of them reports that it serves the revision.

    Parameters
    ----------
    handle : DeploymentHandle
        The deployment `Synthesizer` of the canary's application.
    revision : str
        Digest of the bundle under test.
    weight : int
        Percent of the requests that go to the canary.
    """

    def __init__(self, handle: DeploymentHandle[Any], revision: str, weight: int) -> None:
        self.revision = revision
        self.weight = weight
        """Percent; changed by RayBackend.configure while the canary runs."""
        self._handle = handle
        self._gone = asyncio.Event()
        """Set while no replica serves the revision; written by `_poll_replicas`, set for good by `close`."""
        self._gone.set()
        self._poller = asyncio.create_task(self._poll_replicas())

    def close(self) -> None:
        """Send no more requests. Those at a replica are finished; those that wait for one raise CanaryGoneError."""
        self._poller.cancel()
        self._gone.set()

    def should_route(self, request: SynthesisRequest) -> bool:
        """Draw at random, by weight, whether a request goes to the canary.

        A request that continues a speech goes to the canary if the canary began the speech.

        Parameters
        ----------
        request : SynthesisRequest
            The request to route.

        Returns
        -------
        bool
            True for `weight` percent of new requests while a replica serves the revision, and False while none does.
        """
        drawn = random.random() * 100 < self.weight  # noqa: S311  # no secret
        preceding = request.preceding
        return not self._gone.is_set() and (preceding.revision == self.revision if preceding else drawn)

    async def list_replicas(self) -> list[ReplicaState]:
        """List what each of the canary's replicas has loaded.

        Returns
        -------
        list of ReplicaState
            A state for each replica that answered in time.
        """
        return await query_replicas(self._handle)

    async def synthesize(self, request: SynthesisRequest) -> SynthesisResult | Refusal:
        """Synthesize a complete speech.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Returns
        -------
        SynthesisResult or Refusal
            The speech, or why the voice cannot synthesize the request.

        Raises
        ------
        CanaryGoneError
            If the canary ends before a replica has taken the request.
        AtCapacityError, UnavailableError
            As `await_replica`.
        """
        call: Any = self._handle.synthesize.remote(request)
        try:
            # Ray has no public way to learn that a call was assigned; its errors come with the answer.
            await self._wait_assigned(call, call._to_object_ref())  # noqa: SLF001
            return await await_replica(call)
        except asyncio.CancelledError:
            call.cancel()
            raise

    async def stream(self, request: SynthesisRequest) -> Any:
        """Begin a stream.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Returns
        -------
        ray.serve.handle.DeploymentResponseGenerator
            The items of the replica's stream, once a replica has taken the request.

        Raises
        ------
        CanaryGoneError
            If the canary ends before a replica has taken the request.
        """
        call: Any = self._handle.options(stream=True).stream.remote(request)
        try:
            await self._wait_assigned(call, call._to_object_ref_gen())  # noqa: SLF001  # as above
        except asyncio.CancelledError:
            call.cancel()
            raise
        return call

    async def _wait_assigned(self, call: Any, assignment: Coroutine[Any, Any, Any]) -> None:
        """Wait until a replica has taken the call. Ray itself would wait for ever for a replica that never starts."""
        assigned = asyncio.ensure_future(assignment)
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({assigned, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            assigned.add_done_callback(_retrieve_exception)
        if not assigned.done():
            assigned.cancel()
            call.cancel()
            raise CanaryGoneError

    async def _poll_replicas(self) -> None:
        """Keep `_gone` in step with what the replicas report."""
        while True:
            serving = any(self.revision in state.voices.values() for state in await self.list_replicas())
            if serving is self._gone.is_set():
                logger.info("the canary %s %s", self.revision[:19], "serves" if serving else "does not serve")
            if serving:
                self._gone.clear()
            else:
                self._gone.set()
            await asyncio.sleep(POLL_SECONDS)


def _retrieve_exception(call: asyncio.Future[Any]) -> None:
    """Retrieve the exception of a call that is not awaited; asyncio would log it otherwise."""
    if not call.cancelled():
        call.exception()
