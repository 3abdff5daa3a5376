"""The replicas of Ray Serve deployments as a `Backend`: divides requests between the stable track and the canary."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from kubevoice.resources.data_plane import IngressConfig, ReplicaState, Track, TrackTraffic
from kubevoice.text import Analysis
from ray.serve.handle import DeploymentHandle

from kubevoice_serving.domain import (
    AtCapacityError,
    Refusal,
    SpeechItem,
    SpeechTiming,
    SynthesisRequest,
    SynthesisResult,
    SynthesisStats,
    UnavailableError,
    VoiceInfo,
)
from kubevoice_serving.routing.canary import Canary, CanaryGoneError
from kubevoice_serving.routing.replica_calls import await_replica, query_replicas
from kubevoice_serving.routing.traffic import TrafficCounter

__all__ = ["RayBackend"]


class RayBackend:
    """The replicas of the deployment `Synthesizer`, and of a canary when there is one.

    If the canary fails, the request goes to a stable replica, so the caller gets a response, only later.

    Parameters
    ----------
    stable : DeploymentHandle
        The deployment `Synthesizer` of this application.
    """

    def __init__(self, stable: DeploymentHandle[Any]) -> None:
        self._stable = stable
        self._canary: Canary | None = None
        """The canary of the last configuration; set by `configure`."""
        self._counters = {Track.STABLE: TrafficCounter()}
        """Replaced by `configure` when another canary revision is configured, or none."""

    def configure(self, config: IngressConfig) -> None:
        """Divide the requests as a configuration says.

        Parameters
        ----------
        config : IngressConfig
            Its canary is another application of this Ray, or None. Another canary revision, or none, starts all
            counters at zero.
        """
        target, running = config.canary, self._canary
        if target and running and target.revision == running.revision:
            running.weight = target.weight
            return
        if running:
            running.close()
        self._canary, self._counters = None, {Track.STABLE: TrafficCounter()}
        if target:
            handle = DeploymentHandle[Any](self._stable.deployment_name, target.application)
            self._canary = Canary(handle, target.revision, target.weight)
            self._counters[Track.CANARY] = TrafficCounter()

    async def synthesize(self, request: SynthesisRequest) -> SynthesisResult | Refusal:
        """Synthesize a complete speech on the drawn track, on the replica that Ray Serve picks.

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
        AtCapacityError, UnavailableError
            As `await_replica`, of the stable track.
        """
        canary, counters = self._canary, self._counters
        if canary is not None and canary.should_route(request):
            try:
                return await _count_result(canary.synthesize, request, counters[Track.CANARY])
            except (CanaryGoneError, AtCapacityError, UnavailableError):
                pass
        return await _count_result(self._synthesize_stable, request, counters[Track.STABLE])

    async def stream(self, request: SynthesisRequest) -> AsyncGenerator[SpeechItem, None]:
        """Stream a speech from the drawn track, from the replica that Ray Serve picks.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Yields
        ------
        SpeechItem
            See `domain.SpeechItem` for the order.

        Raises
        ------
        AtCapacityError, UnavailableError
            If all replicas are at capacity, or if the replica is lost.
        """
        canary, counters = self._canary, self._counters
        if canary is not None and canary.should_route(request):
            began = False
            try:
                call = await canary.stream(request)
                async for item in _relay_stream(call, counters[Track.CANARY]):
                    began = True
                    yield item
            except CanaryGoneError:
                pass
            except (AtCapacityError, UnavailableError):
                if began:
                    raise
            else:
                return
        call = self._stable.options(stream=True).stream.remote(request)
        async for item in _relay_stream(call, counters[Track.STABLE]):
            yield item

    async def _synthesize_stable(self, request: SynthesisRequest) -> SynthesisResult | Refusal:
        return await await_replica(self._stable.synthesize.remote(request))

    async def compute_timing(self, request: SynthesisRequest) -> SpeechTiming | Refusal:
        """Compute when the words of a request begin and end in the audio of the stable revision.

        Parameters
        ----------
        request : SynthesisRequest
            The request.

        Returns
        -------
        SpeechTiming or Refusal
            The times, or why the voice cannot synthesize the request.

        Raises
        ------
        AtCapacityError, UnavailableError
            As `await_replica`.
        """
        return await await_replica(self._stable.compute_timing.remote(request))

    async def analyze(self, request: SynthesisRequest) -> Analysis | Refusal:
        """Analyze how a voice of the stable replicas would read a text.

        Parameters
        ----------
        request : SynthesisRequest
            As for `Backend.analyze`.

        Returns
        -------
        Analysis or Refusal
            The sentences, or why the text cannot be read.

        Raises
        ------
        AtCapacityError, UnavailableError
            As `await_replica`.
        """
        return await await_replica(self._stable.analyze.remote(request))

    async def list_voices(self) -> tuple[VoiceInfo, ...]:
        """List the voices of one stable replica.

        Returns
        -------
        tuple of VoiceInfo
            The voices; empty before any is loaded.

        Raises
        ------
        AtCapacityError, UnavailableError
            As `await_replica`.
        """
        return await await_replica(self._stable.list_voices.remote())

    async def list_replicas(self) -> list[ReplicaState]:
        """Query every running replica of both tracks.

        Returns
        -------
        list of ReplicaState
            A state for each replica that answered in time.
        """
        states = await query_replicas(self._stable)
        if self._canary is not None:
            states += [state.model_copy(update={"track": Track.CANARY}) for state in await self._canary.list_replicas()]
        return states

    def track_traffic(self) -> dict[Track, TrackTraffic]:
        """Count the requests of each track.

        Returns
        -------
        dict of Track to TrackTraffic
            The counts since the present canary was configured.
        """
        return {track: counter.snapshot() for track, counter in self._counters.items()}


async def _relay_stream(call: Any, counter: TrafficCounter) -> AsyncGenerator[SpeechItem, None]:
    """Yield the items of a replica's stream and count its outcome; cancel the call when the caller leaves."""
    began = time.perf_counter()
    try:
        while True:
            try:
                item: SpeechItem = await await_replica(anext(call))
            except StopAsyncIteration:
                return
            if isinstance(item, Refusal):
                counter.count_refusal()
            elif isinstance(item, SynthesisStats):
                counter.count_success(time.perf_counter() - began)
            yield item
    except UnavailableError:
        counter.count_failure()
        raise
    finally:
        call.cancel()


async def _count_result(
    synthesize: Callable[[SynthesisRequest], Awaitable[SynthesisResult | Refusal]],
    request: SynthesisRequest,
    counter: TrafficCounter,
) -> SynthesisResult | Refusal:
    """Synthesize and count the outcome. A request that no replica took is not counted."""
    began = time.perf_counter()
    try:
        result = await synthesize(request)
    except UnavailableError:
        counter.count_failure()
        raise
    if isinstance(result, Refusal):
        counter.count_refusal()
    else:
        counter.count_success(time.perf_counter() - began)
    return result
