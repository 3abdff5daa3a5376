"""A speech whose text comes bit by bit: each sentence is a request of its own, and all of them make one file.

So a sentence goes to whichever replica is free and is remembered like any other; what makes it one speech is here: the
pauses, the clock, the encoder, and that one revision speaks.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus

import numpy as np
from kubevoice.audio.encode import Encoder, open_encoder
from kubevoice.engine.reading import PAUSE_SECONDS
from kubevoice.engine.timing import Times, shifted

from kubevoice_serving.domain import Preceding, Refusal, SpeechEnd, SpeechHead, SpeechItem, SpeechJob
from kubevoice_serving.http.errors import ApiError, refuse
from kubevoice_serving.http.events import Event, done, timestamps
from kubevoice_serving.http.metrics import Metrics
from kubevoice_serving.http.websocket_messages import SentenceStarted, SpeechStarted
from kubevoice_serving.routing.backend import Backend, BusyError
from kubevoice_serving.tracing import current

__all__ = ["Narration"]

Item = Event | bytes
SAMPLE_BYTES, FULL_SCALE = 2, 32768.0
STEADY_SECONDS, AGAIN_SECONDS = 10.0, 0.2
"""How long a speech that has begun waits while every replica is busy, and between two tries."""


class Narration:
    """One speech. `job` says how to speak; its text is of no account."""

    def __init__(self, backend: Backend, metrics: Metrics, job: SpeechJob, audio_format: str) -> None:
        self._backend, self._metrics = backend, metrics
        self._job = replace(job, audio_format="pcm")
        self._format = audio_format
        self._head: SpeechHead | None = None
        self._encoder: Encoder | None = None
        self._characters = self._samples = 0
        self._heard_by = 0.0
        """When a listener who began at once has heard all, on the clock of time.monotonic."""

    async def sentence(self, text: str) -> AsyncGenerator[Item, None]:
        """Speak the next sentence of the text, white space and all; yield events and the file.

        Raises ApiError for what cannot be spoken, BusyError or UnavailableError if no replica can.
        """
        begin = self._characters + len(text) - len(text.lstrip())
        self._characters += len(text)
        if not text.strip():
            return
        with self._metrics.in_progress.track_inprogress():
            first, items = await self._begun(text.strip())
            async with aclosing(items):
                if isinstance(first, Refusal):
                    if not first.silent:
                        raise refuse(first, "start")
                    return
                assert isinstance(first, SpeechHead)  # noqa: S101  # so streams begin
                async for before in self._started(first):
                    yield before
                start, finish = self._samples / first.sample_rate, begin + len(text.strip())
                yield SentenceStarted(
                    text=text.strip(), begin=begin, finish=finish, start=start, revision=first.revision
                )
                async for item in items:
                    if isinstance(item, Times):
                        yield timestamps(shifted(item, start, begin))
                    elif isinstance(item, bytes):
                        if audio := await self._encoded(item):
                            yield audio
                    elif isinstance(item, SpeechEnd):
                        self._metrics.answered(first, item, len(text))

    async def end(self) -> AsyncGenerator[Item, None]:
        """Yield the rest of the file, and that it is the last. Raises ApiError if nothing was spoken."""
        if self._encoder is None:
            message = "there is nothing in the text that can be spoken in Mandarin; send some Chinese text"
            raise ApiError(HTTPStatus.BAD_REQUEST, "cannot_speak", message, param="text")
        if rest := await asyncio.to_thread(self._encoder.finish):
            yield rest
        yield done(self._characters)

    async def _begun(self, text: str) -> tuple[SpeechItem, AsyncGenerator[SpeechItem, None]]:
        """Have a sentence taken by a replica. A speech that has begun is not given up for a moment's crowd."""
        until = time.monotonic() + STEADY_SECONDS
        while True:
            lead = max(0.0, self._heard_by - time.monotonic())
            preceding = Preceding(self._head.revision, lead) if self._head else None
            items = self._backend.stream(replace(self._job, text=text, preceding=preceding))
            try:
                return await anext(items), items
            except BusyError:
                if self._head is None or time.monotonic() > until:
                    raise
                await asyncio.sleep(AGAIN_SECONDS)

    async def _started(self, head: SpeechHead) -> AsyncGenerator[Item, None]:
        """Yield what comes before a sentence: that the speech begins, or the pause after the one before."""
        if self._head is None or self._encoder is None:
            self._head, self._encoder = head, open_encoder(head.sample_rate, self._format)
            current().tell(**replace(head, audio_format=self._format).traced, streaming=True)
            told = {"voice": head.voice, "revision": head.revision, "response_format": self._format}
            yield SpeechStarted.model_validate(told | {"sample_rate": head.sample_rate})
            return
        if head.sample_rate != self._head.sample_rate:
            message = f"voice {head.voice} has been replaced by one at {head.sample_rate} Hz; begin again"
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "voice_replaced", message)
        self._head = head
        pause = round(PAUSE_SECONDS / self._job.controls.speed * head.sample_rate)
        if audio := await self._encoded(bytes(pause * SAMPLE_BYTES)):
            yield audio

    async def _encoded(self, pcm: bytes) -> bytes:
        """Return what of the file is ready with these samples, and set the clock by them."""
        assert self._head is not None  # noqa: S101  # there are samples, so
        assert self._encoder is not None  # noqa: S101  # it has begun
        samples = np.frombuffer(pcm, "<i2")
        self._samples += len(samples)
        self._heard_by = max(self._heard_by, time.monotonic()) + len(samples) / self._head.sample_rate
        if self._format == "pcm":
            return pcm
        return await asyncio.to_thread(self._encoder.push, samples / np.float32(FULL_SCALE))
