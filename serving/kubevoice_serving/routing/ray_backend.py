"""The replicas of Ray Serve deployments as a `Backend`."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from kubevoice.text import Analysis, Lexicon
from ray.serve.handle import DeploymentHandle

from kubevoice_serving.domain import (
    Full,
    Refusal,
    SpeechAnswer,
    SpeechEnd,
    SpeechItem,
    SpeechJob,
    StreamItem,
    Timed,
    Track,
)
from kubevoice_serving.replica.synthesizer import ReplicaState, VoiceInfo
from kubevoice_serving.routing.backend import BusyError, UnavailableError
from kubevoice_serving.routing.canary import Canary, GoneError
from kubevoice_serving.routing.replica_calls import replica_states, translated
from kubevoice_serving.routing.tracks import IngressConfig, Tally, TrackTraffic

__all__ = ["RayBackend"]


class RayBackend:
    """The replicas of the deployment `Synthesizer`, and of a canary when there is one.

    A canary that fails costs a caller time, never the answer: the stable replicas speak instead.
    """

    def __init__(self, stable: DeploymentHandle[Any]) -> None:
        self._stable = stable
        self._canary: Canary | None = None
        self._tallies = {Track.STABLE: Tally()}

    def configure(self, config: IngressConfig) -> None:
        """Divide the requests as `config` says. Another canary revision starts all counts anew."""
        wanted, running = config.canary, self._canary
        if wanted and running and wanted.revision == running.revision:
            running.weight = wanted.weight
            return
        if running:
            running.close()
        self._canary, self._tallies = None, {Track.STABLE: Tally()}
        if wanted:
            handle = DeploymentHandle[Any](self._stable.deployment_name, wanted.application)
            self._canary = Canary(handle, wanted.revision, wanted.weight)
            self._tallies[Track.CANARY] = Tally()

    async def speak(self, job: SpeechJob) -> SpeechAnswer | Refusal:
        """Speak on the replica Ray Serve picks, of the track that is drawn."""
        canary, tallies = self._canary, self._tallies
        if canary is not None and canary.takes(job):
            try:
                return await _counted(canary.speak, job, tallies[Track.CANARY])
            except (GoneError, BusyError, UnavailableError):
                pass
        return await _counted(self._speak_stable, job, tallies[Track.STABLE])

    async def stream(self, job: SpeechJob) -> AsyncGenerator[SpeechItem, None]:
        """Speak piece by piece on the replica Ray Serve picks, of the track that is drawn."""
        canary, tallies = self._canary, self._tallies
        if canary is not None and canary.takes(job):
            try:
                call = await canary.stream(job)
            except GoneError:
                pass
            else:
                async for item in _followed(call, tallies[Track.CANARY]):
                    yield item
                return
        async for item in _followed(self._stable.options(stream=True).stream.remote(job), tallies[Track.STABLE]):
            yield item

    async def _speak_stable(self, job: SpeechJob) -> SpeechAnswer | Refusal:
        return await translated(self._stable.speak.remote(job))

    async def time(self, job: SpeechJob) -> Timed | Refusal:
        """Tell when the words of a job are heard, as the stable revision speaks them."""
        return await translated(self._stable.time.remote(job))

    async def analyze(
        self, text: str, lexicon: Lexicon | None = None, *, ssml: bool = False, voice: str | None = None
    ) -> Analysis | Refusal:
        """Show how a voice would read text."""
        return await translated(self._stable.analyze.remote(text, lexicon, ssml=ssml, voice=voice))

    async def voices(self) -> tuple[VoiceInfo, ...]:
        """List the voices of any one stable replica."""
        return await translated(self._stable.voices.remote())

    async def states(self) -> list[ReplicaState]:
        """Ask every running replica of either track."""
        found = await replica_states(self._stable)
        if self._canary is not None:
            found += [replace(state, track=Track.CANARY) for state in await self._canary.states()]
        return found

    def traffic(self) -> dict[Track, TrackTraffic]:
        """Tell what became of the requests of each track."""
        return {track: tally.read() for track, tally in self._tallies.items()}


async def _followed(call: Any, tally: Tally) -> AsyncGenerator[SpeechItem, None]:
    """Yield a stream and count it; the replica is told when nobody listens any more."""
    began = time.perf_counter()
    try:
        while True:
            try:
                item: StreamItem = await translated(anext(call))
            except StopAsyncIteration:
                return
            if isinstance(item, Full):
                raise BusyError(1)
            if isinstance(item, Refusal):
                tally.refused()
            elif isinstance(item, SpeechEnd):
                tally.answered(time.perf_counter() - began)
            yield item
    except UnavailableError:
        tally.failed()
        raise
    finally:
        call.cancel()


async def _counted(
    speak: Callable[[SpeechJob], Awaitable[SpeechAnswer | Refusal]], job: SpeechJob, tally: Tally
) -> SpeechAnswer | Refusal:
    """Speak and count; a request that no replica took says nothing about the track and is not counted."""
    began = time.perf_counter()
    try:
        answer = await speak(job)
    except UnavailableError:
        tally.failed()
        raise
    if isinstance(answer, Refusal):
        tally.refused()
    else:
        tally.answered(time.perf_counter() - began)
    return answer
