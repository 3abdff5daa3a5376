"""The replicas of a Ray Serve deployment as a `Backend`."""

import asyncio
import math
from collections.abc import Awaitable
from typing import Any, TypeVar

from kubevoice.text import Analysis
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from kubevoice_serving.backend import BusyError, UnavailableError
from kubevoice_serving.speech import Refusal, SpeechAnswer, SpeechJob
from kubevoice_serving.synthesizer import ReplicaState, VoiceInfo

__all__ = ["RayBackend"]

T = TypeVar("T")

STATE_SECONDS = 5.0
"""A replica that does not tell its state within this time is left out."""


class RayBackend:
    """The replicas of a Ray Serve deployment of `Synthesizer`."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle

    async def speak(self, job: SpeechJob) -> SpeechAnswer | Refusal:
        """Speak on the replica Ray Serve picks."""
        return await _translated(self._handle.speak.remote(job))

    async def analyze(self, text: str) -> Analysis | Refusal:
        """Show how text would be read."""
        return await _translated(self._handle.analyze.remote(text))

    async def voices(self) -> tuple[VoiceInfo, ...]:
        """List the voices of any one replica."""
        return await _translated(self._handle.voices.remote())

    async def states(self) -> list[ReplicaState]:
        """Ask every running replica."""
        try:
            answers = await self._handle.broadcast("state").results_async(
                timeout_s=STATE_SECONDS, return_exceptions=True
            )
        except (RayServeException, TimeoutError):  # none is running
            return []
        return [answer for answer in answers if isinstance(answer, ReplicaState)]


async def _translated(answer: Awaitable[T]) -> T:
    """Await an answer, turning Ray's ways of saying "not now" into ours."""
    try:
        return await answer
    except BackPressureError as error:
        raise BusyError(math.ceil(error.retry_after_s or 1)) from None
    except asyncio.CancelledError:
        raise
    except (RayServeException, RayError) as error:
        raise UnavailableError("no replica can answer now") from error
