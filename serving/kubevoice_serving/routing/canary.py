"""The canary as the HTTP side sees it: another application of the same Ray, which comes and goes."""

import asyncio
import logging
import random
from collections.abc import Coroutine
from typing import Any

from ray.serve.handle import DeploymentHandle

from kubevoice_serving.domain import Refusal, SpeechAnswer, SpeechJob
from kubevoice_serving.replica.synthesizer import ReplicaState
from kubevoice_serving.routing.replica_calls import replica_states, translated

__all__ = ["Canary", "GoneError"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Time between two looks whether a replica serves."""


class GoneError(Exception):
    """The canary went away before one of its replicas took the request."""


class Canary:
    """One revision on trial. It gets requests only while a replica says that it serves that revision."""

    def __init__(self, handle: DeploymentHandle[Any], revision: str, weight: int) -> None:
        self.revision = revision
        self.weight = weight
        self._handle = handle
        self._away = asyncio.Event()
        self._away.set()
        self._watch = asyncio.create_task(self._look())

    def close(self) -> None:
        """Send it nothing any more; what a replica is at work on is finished, what waits for one is given back."""
        self._watch.cancel()
        self._away.set()

    def takes(self, job: SpeechJob) -> bool:
        """Draw whether a job is for the canary; what goes on with a speech is if the canary began it."""
        drawn = random.random() * 100 < self.weight  # noqa: S311  # no secret
        return not self._away.is_set() and (job.preceding.revision == self.revision if job.preceding else drawn)

    async def states(self) -> list[ReplicaState]:
        """Ask its replicas."""
        return await replica_states(self._handle)

    async def speak(self, job: SpeechJob) -> SpeechAnswer | Refusal:
        """Speak; GoneError if it goes away first, BusyError or UnavailableError as of any replica."""
        call: Any = self._handle.speak.remote(job)
        try:
            # The one way Ray tells that a call was assigned; its errors come with the answer.
            await self._taken(call, call._to_object_ref())  # noqa: SLF001
            return await translated(call)
        except asyncio.CancelledError:
            call.cancel()
            raise

    async def stream(self, job: SpeechJob) -> Any:
        """Begin a stream; GoneError if the canary goes away before a replica has taken it."""
        call: Any = self._handle.options(stream=True).stream.remote(job)
        try:
            await self._taken(call, call._to_object_ref_gen())  # noqa: SLF001  # as below
        except asyncio.CancelledError:
            call.cancel()
            raise
        return call

    async def _taken(self, call: Any, assigned: Coroutine[Any, Any, Any]) -> None:
        """Wait until a replica has taken the call. Ray itself would wait for ever for a replica that never comes."""
        taken = asyncio.ensure_future(assigned)
        away = asyncio.ensure_future(self._away.wait())
        try:
            await asyncio.wait({taken, away}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            away.cancel()
            taken.add_done_callback(_forget)
        if not taken.done():
            taken.cancel()
            call.cancel()
            raise GoneError

    async def _look(self) -> None:
        """Keep `_away` true to what the replicas say."""
        while True:
            serving = any(self.revision in state.voices.values() for state in await self.states())
            if serving is self._away.is_set():
                logger.info("the canary %s %s", self.revision[:19], "serves" if serving else "does not serve")
            if serving:
                self._away.clear()
            else:
                self._away.set()
            await asyncio.sleep(LOOK_SECONDS)


def _forget(call: asyncio.Future[Any]) -> None:
    """Take note of the error of a call nobody waits for, so that asyncio does not complain."""
    if not call.cancelled():
        call.exception()
