"""A replica: holds the loaded voices and synthesizes requests with them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from kubevoice.engine import DecoderScheduler
from kubevoice.engine.timing import Times
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.data_plane import ReplicaState, SynthesizerConfig
from kubevoice.text import Analysis, Lexicon
from kubevoice.validation import describe_errors
from pydantic import ValidationError

from kubevoice_serving.domain import (
    AtCapacityError,
    Refusal,
    ReplicaItem,
    SpeechTiming,
    SynthesisRequest,
    SynthesisResult,
    VoiceInfo,
)
from kubevoice_serving.replica.scheduler import DeadlineScheduler
from kubevoice_serving.replica.synthesis import Synthesis, analyze_text, compute_timing
from kubevoice_serving.replica.voices import VoiceSet, load_voices
from kubevoice_serving.tracing import Span, get_tracer, replica_span

__all__ = ["Synthesizer"]

logger = logging.getLogger(__name__)


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
        Whether this is a replica of a canary. It loads its first voices in the background, because it has to run in
        order to report why they cannot be loaded.
    """

    def __init__(self, cache: Path, replica: str = "local", *, is_canary: bool = False) -> None:
        self._cache = cache
        self._replica = replica
        self._is_canary = is_canary
        self._voices = VoiceSet.empty()
        """The voices that answer; replaced as a whole when a configuration has been loaded."""
        self._target: dict[str, str] = {}
        """Voice names and revisions of the last configuration; set by `_load`, empty if it is invalid."""
        self._error: str | None = None
        """Why the last configuration could not be loaded; set by `_swap`, cleared by `reconfigure`."""
        self._loading: asyncio.Task[None] | None = None
        """The background load of the last configuration, also after it has ended; set by `reconfigure`."""
        self._scheduler, self._batch = DeadlineScheduler(), DecoderScheduler()
        get_tracer()  # loads the exporter now, so that the first request does not wait for it

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Load the voices of a configuration and serve them.

        The first configuration is loaded before this returns. Later ones, and the first of a canary, are loaded in the
        background, because Ray sends no requests to a replica that reconfigures: the old voices answer until the new
        ones can, and go on if those cannot be loaded. `get_state` reports which.

        Parameters
        ----------
        user_config : dict
            A `SynthesizerConfig` as JSON.

        Raises
        ------
        InputError
            If the first configuration is invalid or names a bundle that is not there.
        KubeVoiceError
            If a bundle of the first configuration cannot be loaded: a replica without voices must not become ready.
        """
        self._error = None
        if self._loading:
            self._loading.cancel()
        if self._voices.engines or self._is_canary:
            self._loading = asyncio.create_task(self._swap(user_config))
        else:
            self._voices = await asyncio.to_thread(self._load, user_config)

    def _load(self, user_config: dict[str, Any]) -> VoiceSet:
        self._target = {}
        config = _parse_config(user_config)
        self._target = {voice.name: voice.revision for voice in config.voices}
        return load_voices(config, self._cache, self._voices)

    async def _swap(self, user_config: dict[str, Any]) -> None:
        """Replace the voices once the new ones are loaded; keep them and the reason if that fails."""
        try:
            self._voices = await asyncio.to_thread(self._load, user_config)
        except Exception as error:  # whatever it is, the old voices still serve, or the stable replicas do
            logger.exception("cannot load the new configuration")
            self._error = str(error) if isinstance(error, KubeVoiceError) else f"{type(error).__name__}: {error}"

    async def synthesize(self, request: SynthesisRequest) -> SynthesisResult | Refusal:
        """Synthesize a complete speech.

        Cancelling stops the work after the chunk that is being computed.

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
        KubeVoiceError
            If no voice could be loaded.
        """
        arrived = time.perf_counter()
        with replica_span("replica", request.trace) as span:
            try:
                synthesis = await self._start_synthesis(request, arrived, span, streaming=False)
                chunks = self._scheduler.submit(
                    iter(synthesis), synthesis.measure_seconds, due_in=request.due_seconds, streaming=False
                )
                samples = [chunk async for chunk in chunks]
                return await asyncio.to_thread(synthesis.encode_result, np.concatenate(samples))
            except InputError as error:
                return Refusal.from_error(error)

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
        arrived = time.perf_counter()
        if self._scheduler.at_capacity and request.preceding is None:
            yield AtCapacityError()
            return
        with replica_span("replica", request.trace) as span:
            try:
                synthesis = await self._start_synthesis(request, arrived, span, streaming=True)
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

    async def _start_synthesis(
        self, request: SynthesisRequest, arrived: float, span: Span, *, streaming: bool
    ) -> Synthesis:
        """Return the synthesis of a request, not begun yet. InputError if there is no such voice."""
        voice, engine = (await self._wait_loaded()).get(request.voice)
        synthesis = Synthesis(request, voice, engine, arrived, span, self._batch)
        span.set_attributes(**synthesis.head.trace_attributes, streaming=streaming)
        return synthesis

    async def compute_timing(self, request: SynthesisRequest) -> SpeechTiming | Refusal:
        """Compute when the words of a request are heard.

        It bypasses the scheduler, because the encoder alone is cheap.

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
        KubeVoiceError
            If no voice could be loaded.
        """
        try:
            return await asyncio.to_thread(compute_timing, request, *(await self._wait_loaded()).get(request.voice))
        except InputError as error:
            return Refusal.from_error(error)

    async def _wait_loaded(self) -> VoiceSet:
        """Return the voices, once there are any; KubeVoiceError if the first ones cannot be loaded."""
        if not self._voices.engines and self._loading:
            await asyncio.wait({self._loading})
        if not self._voices.engines:
            raise KubeVoiceError(f"no voice is loaded: {self._error}")
        return self._voices

    async def analyze(
        self, text: str, lexicon: Lexicon | None = None, *, ssml: bool = False, voice: str | None = None
    ) -> Analysis | Refusal:
        """Analyze how a voice would read a text.

        Parameters
        ----------
        text : str
            Plain text, or an SSML document if `ssml` is set.
        lexicon : Lexicon or None
            Readings that take precedence over the voice's own.
        ssml : bool
            Whether the text is an SSML document.
        voice : str or None
            Name of the voice; None is the default voice.

        Returns
        -------
        Analysis or Refusal
            The sentences as the front end reads them, or why it cannot read the text.

        Raises
        ------
        KubeVoiceError
            If no voice could be loaded.
        """
        try:
            _, engine = (await self._wait_loaded()).get(voice)
            return await asyncio.to_thread(analyze_text, engine, text, lexicon, ssml=ssml)
        except InputError as error:
            return Refusal.from_error(error)

    async def list_voices(self) -> tuple[VoiceInfo, ...]:
        """List the loaded voices.

        Returns
        -------
        tuple of VoiceInfo
            The voices in the order of the configuration; empty before any is loaded.
        """
        return self._voices.describe()

    async def get_state(self) -> ReplicaState:
        """Report what is loaded.

        Returns
        -------
        ReplicaState
            The loaded revisions, those being loaded, and why the last configuration failed. The operator counts a
            rollout as complete by this alone.
        """
        loaded = {name: engine.revision for name, engine in self._voices.engines.items()}
        loading = self._loading is not None and not self._loading.done()
        return ReplicaState(
            replica=self._replica,
            voices=loaded,
            default=self._voices.default,
            loading=self._target if loading else {},
            error=self._error,
        )


def _parse_config(user_config: dict[str, Any]) -> SynthesizerConfig:
    try:
        return SynthesizerConfig.model_validate(user_config)
    except ValidationError as error:
        problems = describe_errors(error.errors(), "user_config")
        raise InputError(f"the user_config of Synthesizer is wrong: {'; '.join(problems)}", problems) from None
