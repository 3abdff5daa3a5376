"""The replica: holds the loaded voices and speaks, one request at a time."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from kubevoice.engine import Batch, Engine, script_of
from kubevoice.engine.timing import Times
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.text import Analysis, Lexicon, Passage
from pydantic import ValidationError

from kubevoice_serving.domain import (
    Full,
    Refusal,
    SpeechAnswer,
    SpeechJob,
    StreamItem,
    Timed,
    Track,
    Utterance,
    time_job,
)
from kubevoice_serving.replica.scheduler import Turns
from kubevoice_serving.replica.voices import UserConfig, VoiceSet, load_voices
from kubevoice_serving.tracing import replica_span, tracer

__all__ = ["ReplicaState", "Synthesizer", "VoiceInfo"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VoiceInfo:
    """A loaded voice, as /v1/voices shows it."""

    name: str
    revision: str
    language: str
    sample_rate: int
    speakers: tuple[str, ...]
    emotions: tuple[str, ...]
    styles: tuple[str, ...]
    metrics: dict[str, float]
    attribution: tuple[str, ...]
    default: bool


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What one replica has loaded, what it is loading, and why the last load failed."""

    replica: str
    voices: dict[str, str]
    default: str
    loading: dict[str, str]
    error: str | None
    track: Track = Track.STABLE


class Synthesizer:
    """Speaks with the voices of its user_config.

    Speech runs on one thread, whose turns are shared out (see turns), and what its listeners need of a voice's decoder
    is made together; the thread count of a voice is the engine's business. Ray Serve spreads requests over replicas
    and queues what they cannot take.
    """

    def __init__(self, cache: Path, replica: str = "local", *, on_trial: bool = False) -> None:
        self._cache = cache
        self._replica = replica
        self._on_trial = on_trial
        self._voices = VoiceSet.empty()
        self._wanted: dict[str, str] = {}
        self._error: str | None = None
        self._loading: asyncio.Task[None] | None = None
        self._turns, self._batch = Turns(), Batch()
        tracer()  # what it loads would keep the first request waiting

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve what `user_config` asks for.

        The first configuration is loaded before this returns, and a failure is raised: a replica without
        voices must not be ready. A later one is loaded in the background, because Ray sends a replica no
        requests while it reconfigures; the old voices answer until the new ones can, and go on if those
        cannot be loaded. `state` tells. A replica on trial loads its first voices in the background, too: it
        has to live to say what is wrong with them.
        """
        self._error = None
        if self._loading:
            self._loading.cancel()
        if self._voices.engines or self._on_trial:
            self._loading = asyncio.create_task(self._swap(user_config))
        else:
            self._voices = await asyncio.to_thread(self._load, user_config)

    def _load(self, user_config: dict[str, Any]) -> VoiceSet:
        self._wanted = {}
        config = _parse(user_config)
        self._wanted = {voice.name: voice.revision for voice in config.voices}
        return load_voices(config, self._cache, self._voices)

    async def _swap(self, user_config: dict[str, Any]) -> None:
        try:
            self._voices = await asyncio.to_thread(self._load, user_config)
        except Exception as error:  # whatever it is, the old voices still speak, or the stable replicas do
            logger.exception("cannot load the new configuration")
            self._error = str(error) if isinstance(error, KubeVoiceError) else f"{type(error).__name__}: {error}"

    async def speak(self, job: SpeechJob) -> SpeechAnswer | Refusal:
        """Speak `job`; if the caller goes away, stop after the piece that is being spoken."""
        arrived = time.perf_counter()
        with replica_span("speak", job.trace) as span:
            try:
                utterance = Utterance(job, *(await self._loaded()).find(job.voice), arrived, span, self._batch)
                span.tell(**utterance.head.traced, streaming=False)
                pieces = self._turns.of(iter(utterance), utterance.seconds, lead=job.patience, whole=True)
                samples = [piece async for piece in pieces]
                return await asyncio.to_thread(utterance.answer, np.concatenate(samples))
            except InputError as error:
                return Refusal.of(error)

    async def stream(self, job: SpeechJob) -> AsyncIterator[StreamItem]:
        """Speak `job` and yield its file while it is made; if the caller goes away, stop after the piece at work."""
        arrived = time.perf_counter()
        if self._turns.full and job.preceding is None:
            yield Full()
            return
        with replica_span("speak", job.trace) as span:
            try:
                utterance = Utterance(job, *(await self._loaded()).find(job.voice), arrived, span, self._batch)
                span.tell(**utterance.head.traced, streaming=True)
                begun = False
                lead = job.preceding.lead if job.preceding else 0.0
                async with aclosing(self._turns.of(utterance.encoded(), attrgetter("seconds"), lead=lead)) as pieces:
                    async for piece in pieces:
                        if not begun:
                            begun = True
                            yield utterance.head
                        if job.timestamps and piece.times != Times():
                            yield piece.times
                        if piece.audio:
                            yield piece.audio
                yield utterance.end
            except InputError as error:
                yield Refusal.of(error)

    async def time(self, job: SpeechJob) -> Timed | Refusal:
        """Tell when the words of `job` are heard. It takes no turn: the encoder is cheap, and nobody listens."""
        try:
            return await asyncio.to_thread(time_job, job, *(await self._loaded()).find(job.voice))
        except InputError as error:
            return Refusal.of(error)

    async def _loaded(self) -> VoiceSet:
        """Return the voices, once there are any; KubeVoiceError if the first ones cannot be loaded."""
        if not self._voices.engines and self._loading:
            await asyncio.wait({self._loading})
        if not self._voices.engines:
            raise KubeVoiceError(f"no voice is loaded: {self._error}")
        return self._voices

    async def analyze(
        self, text: str, lexicon: Lexicon | None = None, *, ssml: bool = False, voice: str | None = None
    ) -> Analysis | Refusal:
        """Show how a voice (None: the default one) would read `text`."""
        try:
            _, engine = (await self._loaded()).find(voice)
            return await asyncio.to_thread(_analysis, engine, text, lexicon, ssml=ssml)
        except InputError as error:
            return Refusal.of(error)

    async def voices(self) -> tuple[VoiceInfo, ...]:
        """List the loaded voices."""
        voices = self._voices
        return tuple(
            VoiceInfo(
                name=name,
                revision=engine.revision,
                language=engine.manifest.language,
                sample_rate=engine.sample_rate,
                speakers=engine.manifest.speakers,
                emotions=tuple(e.label for e in engine.manifest.emotions),
                styles=engine.manifest.styles,
                metrics=engine.manifest.metrics,
                attribution=engine.manifest.attribution,
                default=name == voices.default,
            )
            for name, engine in voices.engines.items()
        )

    async def state(self) -> ReplicaState:
        """Tell what is loaded; the operator counts a rollout as done by this alone."""
        loaded = {name: engine.revision for name, engine in self._voices.engines.items()}
        busy = self._loading is not None and not self._loading.done()
        return ReplicaState(self._replica, loaded, self._voices.default, self._wanted if busy else {}, self._error)


def _analysis(engine: Engine, text: str, lexicon: Lexicon | None, *, ssml: bool) -> Analysis:
    script = script_of(engine, text, ssml=ssml, lexicon=lexicon)
    sentences = (part.sentence for part in script.parts if isinstance(part, Passage))
    return Analysis(text, tuple(sentences), script.notices)


def _parse(user_config: dict[str, Any]) -> UserConfig:
    try:
        return UserConfig.model_validate(user_config)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'user_config'}: {e['msg']}" for e in error.errors()]
        raise InputError(f"the user_config of Synthesizer is wrong: {'; '.join(problems)}", problems) from None
