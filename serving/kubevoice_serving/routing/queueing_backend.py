"""A `Backend` in which streams wait while all replicas are at capacity, as requests for complete files do."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from kubevoice.resources.data_plane import QueueConfig

from kubevoice_serving.domain import (
    AtCapacityError,
    Refusal,
    SpeechItem,
    SynthesisRequest,
    SynthesisResult,
)
from kubevoice_serving.routing.backend import Backend
from kubevoice_serving.routing.forwarding_backend import ForwardingBackend

__all__ = ["QueueingBackend"]

RETRY_SECONDS = 0.05
"""How long the first of the queue waits between two tries."""


class QueueingBackend(ForwardingBackend):
    """Streams wait here, first come first served; requests for complete files wait in Ray's queue and in replicas.

    Only the first of the queue asks the replicas, so a queue of any length costs them one refusal a try. A request that
    continues a speech does not wait.

    Parameters
    ----------
    backend : Backend
        Refuses what it has no capacity for.
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._config = QueueConfig()
        """Set by `configure`."""
        self._turn = asyncio.Lock()
        """Held by the first of the queue; the lock is given to the others in the order of their arrival."""
        self._waiting = 0
        """Streams in the queue."""

    def configure(self, config: QueueConfig) -> None:
        """Set how many requests may wait, and how long. It holds for requests that begin to wait from now on.

        Parameters
        ----------
        config : QueueConfig
            The limits.
        """
        self._config = config

    async def synthesize(self, request: SynthesisRequest) -> SynthesisResult | Refusal:
        """Synthesize a complete speech, which a replica begins within the configured time.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Returns
        -------
        SynthesisResult or Refusal
            The backend's answer.

        Raises
        ------
        AtCapacityError, UnavailableError
            As the backend raises them.
        """
        return await self._backend.synthesize(replace(request, wait_seconds=self._config.seconds))

    async def stream(self, request: SynthesisRequest) -> AsyncGenerator[SpeechItem, None]:
        """Stream a speech, which may wait for a replica.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Yields
        ------
        SpeechItem
            The backend's items.

        Raises
        ------
        AtCapacityError
            If as many requests wait as may, or if this one has waited as long as it may.
        UnavailableError
            As the backend raises it.
        """
        first, items = await self._open_stream(request)
        async with aclosing(items):
            yield first
            async for item in items:
                yield item

    async def _open_stream(self, request: SynthesisRequest) -> tuple[SpeechItem, AsyncGenerator[SpeechItem, None]]:
        """Return the first item of a stream and the others, once a replica has capacity."""
        if request.preceding is not None or not self._turn.locked():
            try:
                return await self._try_stream(request)
            except AtCapacityError:
                if request.preceding is not None:
                    raise
        config = self._config
        if self._waiting >= config.requests:
            raise AtCapacityError(f"all replicas are at capacity, and {self._waiting} requests wait for one")
        self._waiting += 1
        try:
            async with asyncio.timeout(config.seconds), self._turn:
                return await self._wait_for_capacity(request)
        except TimeoutError:
            raise AtCapacityError(f"all replicas were at capacity for {config.seconds:g} s") from None
        finally:
            self._waiting -= 1

    async def _wait_for_capacity(
        self, request: SynthesisRequest
    ) -> tuple[SpeechItem, AsyncGenerator[SpeechItem, None]]:
        while True:
            try:
                return await self._try_stream(request)
            except AtCapacityError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _try_stream(self, request: SynthesisRequest) -> tuple[SpeechItem, AsyncGenerator[SpeechItem, None]]:
        items = self._backend.stream(request)
        try:
            return await anext(items), items
        except BaseException:
            await items.aclose()
            raise
