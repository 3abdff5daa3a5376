"""Incremental speech: a speech whose text arrives in parts.

Each sentence is a request of its own, and all of them make one file. So a sentence goes to whichever replica is free
and is cached like any other. This module joins them: pauses, playback time, the encoder, and the same revision for all
sentences.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, replace
from http import HTTPStatus

import numpy as np
from kubevoice.audio.encode import Encoder, open_encoder
from kubevoice.engine.script import SENTENCE_PAUSE_SECONDS
from kubevoice.engine.timing import Times, shift_times
from kubevoice.text.ssml import Notice

from kubevoice_serving.domain import (
    AtCapacityError,
    Preceding,
    Refusal,
    SpeechHead,
    SpeechItem,
    SynthesisRequest,
    SynthesisStats,
)
from kubevoice_serving.http.errors import ApiError, make_refusal_error
from kubevoice_serving.http.events import AudioDone, Event, Timestamps
from kubevoice_serving.http.metrics import HttpMetrics
from kubevoice_serving.http.websocket_messages import SentenceStarted, SpeechStarted
from kubevoice_serving.routing.backend import Backend
from kubevoice_serving.tracing import current_span

__all__ = ["IncrementalSpeech"]

Item = Event | bytes
SAMPLE_BYTES, FULL_SCALE = 2, 32768.0
PATIENCE_SECONDS, RETRY_SECONDS = 10.0, 0.2
"""How long a speech that has begun waits while all replicas are at capacity, and between two tries."""


class IncrementalSpeech:
    """One speech, synthesized a sentence at a time.

    Parameters
    ----------
    backend : Backend
        The replicas.
    metrics : HttpMetrics
        Where each sentence is counted.
    request : SynthesisRequest
        How to synthesize; its text and format are replaced.
    audio_format : str
        Format of the file.
    notices : tuple of Notice
        What of the first message has no effect.
    """

    def __init__(
        self,
        backend: Backend,
        metrics: HttpMetrics,
        request: SynthesisRequest,
        audio_format: str,
        notices: tuple[Notice, ...] = (),
    ) -> None:
        self._backend, self._metrics, self._notices = backend, metrics, notices
        self._request = replace(request, audio_format="pcm")
        self._format = audio_format
        self._head: SpeechHead | None = None
        """Head of the last sentence; None until the first one is synthesized. Written by `_begin_sentence`."""
        self._encoder: Encoder | None = None
        """Opened with the first sentence, when the sample rate is known."""
        self._characters = self._samples = 0
        """Characters of the text and samples of the audio so far."""
        self._playback_end = 0.0
        """When a listener who plays at once has played everything, on the clock of time.monotonic."""

    async def synthesize_sentence(self, text: str) -> AsyncGenerator[Item, None]:
        """Synthesize the next sentence.

        Parameters
        ----------
        text : str
            The sentence with the white space around it; skipped if nothing in it can be synthesized.

        Yields
        ------
        Event or bytes
            Events, and chunks of the file.

        Raises
        ------
        ApiError
            For text or controls that the voice cannot synthesize, or if the voice's sample rate has changed.
        AtCapacityError, UnavailableError
            As `Backend.stream`; a speech that has begun waits PATIENCE_SECONDS before the former.
        """
        begin = self._characters + len(text) - len(text.lstrip())
        self._characters += len(text)
        if not text.strip():
            return
        with self._metrics.in_progress.track_inprogress():
            first, items = await self._open_stream(text.strip())
            async with aclosing(items):
                if isinstance(first, Refusal):
                    if not first.silent:
                        raise make_refusal_error(first, "start")
                    return
                assert isinstance(first, SpeechHead)  # noqa: S101  # the first item of a stream
                async for before in self._begin_sentence(first):
                    yield before
                start, finish = self._samples / first.sample_rate, begin + len(text.strip())
                yield SentenceStarted(
                    text=text.strip(), begin=begin, finish=finish, start=start, revision=first.revision
                )
                async for item in items:
                    if isinstance(item, Times):
                        yield Timestamps.from_times(shift_times(item, start, begin))
                    elif isinstance(item, bytes):
                        if audio := await self._encode(item):
                            yield audio
                    elif isinstance(item, SynthesisStats):
                        self._metrics.record_speech(first, item, len(text))

    async def finish(self) -> AsyncGenerator[Item, None]:
        """End the speech.

        Yields
        ------
        Event or bytes
            The rest of the file, if there is any, and the last event.

        Raises
        ------
        ApiError
            If nothing in the text can be synthesized.
        """
        if self._encoder is None:
            message = "there is nothing in the text that can be spoken in Mandarin; send some Chinese text"
            raise ApiError(HTTPStatus.BAD_REQUEST, "cannot_speak", message, param="text")
        if rest := await asyncio.to_thread(self._encoder.finish):
            yield rest
        yield AudioDone.from_characters(self._characters)

    async def _open_stream(self, text: str) -> tuple[SpeechItem, AsyncGenerator[SpeechItem, None]]:
        """Return the first item of a sentence's stream, and the others. A speech that has begun retries at capacity."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            buffered = max(0.0, self._playback_end - time.monotonic())
            preceding = Preceding(self._head.revision, buffered) if self._head else None
            items = self._backend.stream(replace(self._request, text=text, preceding=preceding))
            try:
                return await anext(items), items
            except AtCapacityError:
                if self._head is None or time.monotonic() > give_up:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    async def _begin_sentence(self, head: SpeechHead) -> AsyncGenerator[Item, None]:
        """Yield what comes before a sentence: the event that the speech begins, or the pause after the one before."""
        if self._head is None or self._encoder is None:
            self._head, self._encoder = head, open_encoder(head.sample_rate, self._format)
            current_span().set_attributes(**replace(head, audio_format=self._format).trace_attributes, streaming=True)
            fields = {"voice": head.voice, "revision": head.revision, "response_format": self._format}
            notices = [asdict(notice) for notice in self._notices + head.notices]
            yield SpeechStarted.model_validate(fields | {"sample_rate": head.sample_rate, "notices": notices})
            return
        if head.sample_rate != self._head.sample_rate:
            message = f"voice {head.voice} has been replaced by one at {head.sample_rate} Hz; start a new speech"
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "voice_replaced", message)
        self._head = head
        pause = round(SENTENCE_PAUSE_SECONDS / self._request.controls.speed * head.sample_rate)
        if audio := await self._encode(bytes(pause * SAMPLE_BYTES)):
            yield audio

    async def _encode(self, pcm: bytes) -> bytes:
        """Return the bytes of the file that are ready after these int16 samples, and move `_playback_end` on."""
        assert self._head is not None  # noqa: S101  # set with the first sentence
        assert self._encoder is not None  # noqa: S101  # likewise
        samples = np.frombuffer(pcm, "<i2")
        self._samples += len(samples)
        self._playback_end = max(self._playback_end, time.monotonic()) + len(samples) / self._head.sample_rate
        if self._format == "pcm":
            return pcm
        return await asyncio.to_thread(self._encoder.push, samples / np.float32(FULL_SCALE))
