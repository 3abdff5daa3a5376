"""A replica: synthesizes requests with its voices."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from kubevoice.engine import DecoderScheduler
from kubevoice.engine.timing import Times
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import ReplicaState, SynthesizerConfig
from kubevoice.text import Analysis
from kubevoice.validation import describe_errors
from pydantic import ValidationError

from kubevoice_serving.domain import (
    AtCapacityError,
    Refusal,
    ReplicaItem,
    SpeechTiming,
    SynthesisRequest,
    SynthesisResult,
    UnavailableError,
    VoiceInfo,
)
from kubevoice_serving.replica.bundle_cache import BundleCache
from kubevoice_serving.replica.on_demand_voices import OnDemandVoices
from kubevoice_serving.replica.preloaded_voices import PreloadedVoices
from kubevoice_serving.replica.scheduler import DeadlineScheduler
from kubevoice_serving.replica.synthesis import Synthesis, analyze_text, compute_timing
from kubevoice_serving.replica.voice_limits import VoiceLimits
from kubevoice_serving.replica.voices import VoiceSource
from kubevoice_serving.tracing import get_tracer, replica_span

__all__ = ["Synthesizer"]


class Synthesizer:
    """Synthesizes with the voices of its user_config.

    One thread computes for all requests (see `scheduler`), and decoder steps of the same voice are computed together.
    How many threads ONNX Runtime uses is the engine's setting. Ray Serve spreads requests over the replicas and queues
    those that no replica takes.

    Parameters
    ----------
    cache : Path
        Folder for fetched bundles.
    replica : str
        Name of this replica in /v1/revisions.
    is_canary : bool
        Whether this is a replica of a canary (see `PreloadedVoices`).
    """

    def __init__(self, cache: Path, replica: str = "local", *, is_canary: bool = False) -> None:
        self._cache, self._replica, self._is_canary = BundleCache(cache), replica, is_canary
        self._voices: VoiceSource = PreloadedVoices(self._cache, is_canary=is_canary)
        """Replaced by `reconfigure` when voices are to be loaded on demand, or no longer."""
        self._limits = VoiceLimits()
        self._scheduler, self._batch = DeadlineScheduler(), DecoderScheduler()
        get_tracer()  # loads the exporter now, so that the first request does not wait for it

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve the voices of a configuration, preloaded or, with `residency`, loaded on demand.

        Parameters
        ----------
        user_config : dict
            A `SynthesizerConfig` as JSON.

        Raises
        ------
        InputError
            If the first configuration is invalid or, without `residency`, names a bundle that is not there.
        KubeVoiceError
            If, without `residency`, a bundle of the first configuration cannot be loaded.
        """
        try:
            config = _parse_config(user_config)
        except InputError as error:
            if not self._voices.refuse(error):
                raise
            return
        on_demand, voices = config.residency is not None, self._voices
        if on_demand is not isinstance(voices, OnDemandVoices):
            voices = (
                OnDemandVoices(self._cache) if on_demand else PreloadedVoices(self._cache, is_canary=self._is_canary)
            )
        await voices.configure(config)
        self._limits.configure(config.voices)
        if voices is not self._voices:
            old, self._voices = self._voices, voices
            await old.close()

    async def synthesize(
        self, request: SynthesisRequest
    ) -> SynthesisResult | Refusal | AtCapacityError | UnavailableError:
        """Synthesize a complete speech.

        Cancelling stops the work after the chunk that is being computed.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Returns
        -------
        SynthesisResult or Refusal or AtCapacityError or UnavailableError
            The speech, why the voice cannot synthesize the request, or why it cannot be synthesized now.

        Raises
        ------
        KubeVoiceError
            If no voice could be loaded.
        """
        try:
            async with self._start_synthesis(request, streaming=False) as synthesis:
                chunks = self._scheduler.submit(
                    iter(synthesis), synthesis.measure_seconds, due_in=request.due_seconds, streaming=False
                )
                async with aclosing(chunks):
                    async with asyncio.timeout(request.wait_seconds):
                        samples = [await anext(chunks)]
                    samples += [chunk async for chunk in chunks]
                return await asyncio.to_thread(synthesis.encode_result, np.concatenate(samples))
        except InputError as error:
            return Refusal.from_error(error)
        except (AtCapacityError, UnavailableError) as error:
            return error
        except TimeoutError:
            return AtCapacityError(f"the replicas had no time for this request within {request.wait_seconds:g} s")

    async def stream(self, request: SynthesisRequest) -> AsyncIterator[ReplicaItem]:
        """Stream a speech.

        A request that continues a speech is always taken; a new one gets AtCapacityError while the scheduler is at
        capacity. Closing the iterator stops the work after the chunk that is being computed.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Yields
        ------
        ReplicaItem
            See `domain.SpeechItem` for the order.

        Raises
        ------
        KubeVoiceError
            If no voice could be loaded.
        """
        try:
            self._check_capacity(request)  # or a voice would be loaded in vain
            async with self._start_synthesis(request, streaming=True) as synthesis:
                self._check_capacity(request)
                head_sent = False
                due_in = request.preceding.buffered_seconds if request.preceding else 0.0
                submitted = self._scheduler.submit(synthesis.encode_chunks(), attrgetter("seconds"), due_in=due_in)
                async with aclosing(submitted) as chunks:
                    async for chunk in chunks:
                        if not head_sent:
                            head_sent = True
                            yield synthesis.head
                        if request.timestamps and chunk.times != Times():
                            yield chunk.times
                        if chunk.audio:
                            yield chunk.audio
                yield synthesis.stats
        except InputError as error:
            yield Refusal.from_error(error)
        except (AtCapacityError, UnavailableError) as error:
            yield error

    def _check_capacity(self, request: SynthesisRequest) -> None:
        if self._scheduler.at_capacity and request.preceding is None:
            raise AtCapacityError

    @asynccontextmanager
    async def _start_synthesis(self, request: SynthesisRequest, *, streaming: bool) -> AsyncIterator[Synthesis]:
        """Yield the synthesis of a request, not begun yet; its voice stays loaded until the end of the block."""
        arrived = time.perf_counter()
        with replica_span("replica", request.trace) as span:
            name, continues = self._voices.resolve(request.voice), request.preceding is not None
            async with self._limits.admit(name, continues=continues), self._voices.use(name) as (voice, engine):
                synthesis = Synthesis(request, voice, engine, arrived, span, self._batch)
                span.set_attributes(**synthesis.head.trace_attributes, streaming=streaming)
                yield synthesis

    async def compute_timing(
        self, request: SynthesisRequest
    ) -> SpeechTiming | Refusal | AtCapacityError | UnavailableError:
        """Compute when the words of a request are heard.

        It bypasses the scheduler, because the encoder alone is cheap.

        Parameters
        ----------
        request : SynthesisRequest
            The request.

        Returns
        -------
        SpeechTiming or Refusal or AtCapacityError or UnavailableError
            The times, why the voice cannot synthesize the request, or why it cannot now.

        Raises
        ------
        KubeVoiceError
            If no voice could be loaded.
        """
        try:
            async with self._voices.use(request.voice) as (voice, engine):
                return await asyncio.to_thread(compute_timing, request, voice, engine)
        except InputError as error:
            return Refusal.from_error(error)
        except (AtCapacityError, UnavailableError) as error:
            return error

    async def analyze(self, request: SynthesisRequest) -> Analysis | Refusal | AtCapacityError | UnavailableError:
        """Analyze how a voice would read a text.

        Parameters
        ----------
        request : SynthesisRequest
            The text, how it is read, and the voice.

        Returns
        -------
        Analysis or Refusal or AtCapacityError or UnavailableError
            The sentences as the front end reads them, why it cannot read the text, or why it cannot now.

        Raises
        ------
        KubeVoiceError
            If no voice could be loaded.
        """
        try:
            async with self._voices.use(request.voice) as (_, engine):
                return await asyncio.to_thread(analyze_text, engine, request)
        except InputError as error:
            return Refusal.from_error(error)
        except (AtCapacityError, UnavailableError) as error:
            return error

    async def list_voices(self) -> tuple[VoiceInfo, ...]:
        """List the voices.

        Returns
        -------
        tuple of VoiceInfo
            The voices in the order of the configuration; empty before there is one.
        """
        return self._voices.describe()

    async def get_state(self) -> ReplicaState:
        """Report what is loaded.

        Returns
        -------
        ReplicaState
            The revisions that it serves, what is being loaded, and what cannot be. The operator counts a rollout as
            complete by this alone.
        """
        return self._voices.get_state(self._replica)


def _parse_config(user_config: dict[str, Any]) -> SynthesizerConfig:
    try:
        return SynthesizerConfig.model_validate(user_config)
    except ValidationError as error:
        problems = describe_errors(error.errors(), "user_config")
        raise InputError(f"the user_config of Synthesizer is wrong: {'; '.join(problems)}", problems) from None
