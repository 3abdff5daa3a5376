"""One request being synthesized: from its text to encoded audio, with the time that each part takes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from kubevoice.audio.encode import encode_audio, open_encoder
from kubevoice.audio.loudness import to_loudness
from kubevoice.engine import DecoderScheduler, Engine, Script, build_script
from kubevoice.engine.instructions import apply_instructions
from kubevoice.engine.synthesis import SamplesOrTimes, synthesize_with_times
from kubevoice.engine.timing import Times, time_parts
from kubevoice.errors import SilentError
from kubevoice.text import Analysis, Passage
from kubevoice.text.ssml import Break, Notice
from numpy.typing import NDArray

from kubevoice_serving.domain import SpeechHead, SpeechTiming, SynthesisRequest, SynthesisResult, SynthesisStats
from kubevoice_serving.tracing import Span

__all__ = ["AudioChunk", "Synthesis", "analyze_text", "compute_timing"]

SILENCE = (Break(0.2),)
"""The speech of a text with nothing to speak."""
Samples = NDArray[np.float32]
"""Mono samples [T] between -1 and 1."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A part of a file on its way to a listener.

    Attributes
    ----------
    audio : bytes
        Encoded audio; empty while the encoder has too few samples for a frame, or while the decoder has made no mels.
    seconds : float
        Seconds of speech that were synthesized for it.
    times : Times
        Times of what begins in it.
    """

    audio: bytes
    seconds: float
    times: Times


class Synthesis:
    """One request being synthesized. Iterate once, over samples or over `encode_chunks`; then read `head` and `stats`.

    Parameters
    ----------
    request : SynthesisRequest
        What to synthesize.
    voice : str
        Name of the voice.
    engine : Engine
        The loaded voice.
    arrived : float
        `time.perf_counter()` when the request came to the replica.
    span : Span
        Gets a child for each part of the work.
    scheduler : DecoderScheduler
        The requests of this voice whose decoder steps are computed together.

    Notes
    -----
    Iterating runs on the scheduler's thread. It raises InputError for text or controls that the voice cannot
    synthesize.
    """

    def __init__(
        self,
        request: SynthesisRequest,
        voice: str,
        engine: Engine,
        arrived: float,
        span: Span,
        scheduler: DecoderScheduler,
    ) -> None:
        self.request = request
        self._voice, self._engine, self._arrived, self._span, self._scheduler = voice, engine, arrived, span, scheduler
        self._notices: tuple[Notice, ...] = ()
        self._silent = False
        """Both are set when the text has been read."""
        self._began = self._first_audio = arrived
        """On the clock of time.perf_counter: when work began, and when the first samples existed."""
        self._work_seconds = 0.0
        """Seconds of computing so far; `_record_work` adds."""
        self._samples = 0
        """Samples so far."""

    def __iter__(self) -> Iterator[Samples]:
        return (item for item in self._synthesize() if not isinstance(item, Times))

    def _synthesize(self) -> Iterator[SamplesOrTimes]:
        """Yield samples, and before those of each sentence its times."""
        started = self._began = time.perf_counter()
        self._span.add_child("wait", started - self._arrived)
        request = self.request
        script = _read_script(request, self._engine)
        controls, notices = apply_instructions(request.controls, request.instructions, self._engine.manifest)
        self._record_work("read", started)
        self._notices, self._silent = notices + script.notices, script.parts == SILENCE
        items = synthesize_with_times(self._engine, script.parts, controls, scheduler=self._scheduler)
        while True:
            started = time.perf_counter()
            item = next(items, None)
            if item is None:
                return
            if isinstance(item, Times):
                self._record_work("plan", started)
            else:
                self._record_work("synthesize", started, audio_seconds=self.measure_seconds(item))
                if not self._samples:
                    self._first_audio = time.perf_counter()
                self._samples += len(item)
            yield item

    def _record_work(self, name: str, started: float, **attributes: float) -> None:
        """Count the work from `started` (time.perf_counter) until now."""
        seconds = time.perf_counter() - started
        self._work_seconds += seconds
        self._span.add_child(name, seconds, **attributes)

    def encode_chunks(self) -> Iterator[AudioChunk]:
        """Synthesize into a file and yield its parts as they are made.

        Yields
        ------
        AudioChunk
            A part of the file; the last one has no seconds of its own.

        Raises
        ------
        InputError
            For text or controls that the voice cannot synthesize.
        """
        encoder = open_encoder(self._engine.sample_rate, self.request.audio_format)
        times = Times()
        for item in self._synthesize():
            if isinstance(item, Times):
                times += item
            else:
                started = time.perf_counter()
                audio = encoder.push(item) if len(item) else b""
                self._span.add_child("encode", time.perf_counter() - started)
                yield AudioChunk(audio, self.measure_seconds(item), times)
                times = Times()
        yield AudioChunk(encoder.finish(), 0.0, times)

    def measure_seconds(self, samples: Samples) -> float:
        """Return the length of `samples` in seconds.

        Parameters
        ----------
        samples : ndarray of float32 [T]
            Samples of this voice.

        Returns
        -------
        float
            Their length in seconds.
        """
        return len(samples) / self._engine.sample_rate

    @property
    def head(self) -> SpeechHead:
        """The head; its notices are complete once the first samples exist."""
        rate, revision = self._engine.sample_rate, self._engine.revision
        return SpeechHead(self.request.audio_format, rate, self._voice, revision, self._notices, silent=self._silent)

    @property
    def stats(self) -> SynthesisStats:
        """Costs so far; complete once iteration has ended."""
        return SynthesisStats(
            audio_seconds=self._samples / self._engine.sample_rate,
            synthesis_seconds=self._work_seconds,
            queue_seconds=self._began - self._arrived,
            first_audio_seconds=self._first_audio - self._arrived,
        )

    def encode_result(self, samples: Samples) -> SynthesisResult:
        """Encode a complete speech, brought to the loudness that the request asks for.

        Parameters
        ----------
        samples : ndarray of float32 [T]
            All samples of the speech.

        Returns
        -------
        SynthesisResult
            The complete file, without times.
        """
        started = time.perf_counter()
        if self.request.loudness is not None:
            samples = to_loudness(samples, self._engine.sample_rate, self.request.loudness)
        audio = encode_audio(samples, self._engine.sample_rate, self.request.audio_format)
        self._span.add_child("encode", time.perf_counter() - started)
        return SynthesisResult(self.head, audio, self.stats)


def compute_timing(request: SynthesisRequest, voice: str, engine: Engine) -> SpeechTiming:
    """Compute when the words of a request are heard. Only the encoder runs.

    Parameters
    ----------
    request : SynthesisRequest
        The request.
    voice : str
        Name of the voice, for the result.
    engine : Engine
        The loaded voice.

    Returns
    -------
    SpeechTiming
        Times in seconds from the beginning of the audio.

    Raises
    ------
    InputError
        For text or controls that the voice cannot synthesize.
    """
    script = _read_script(request, engine)
    controls, _ = apply_instructions(request.controls, request.instructions, engine.manifest)
    return SpeechTiming(voice, engine.revision, time_parts(engine, script.parts, controls))


def _read_script(request: SynthesisRequest, engine: Engine) -> Script:
    """Run the front end; text with nothing to speak is a silence if the request allows it."""
    try:
        return build_script(engine, request.text, ssml=request.ssml, options=request.reading_options)
    except SilentError:
        if not request.silence:
            raise
        return Script(SILENCE, (Notice("nothing in the text can be spoken; this is a silence"),))


def analyze_text(engine: Engine, request: SynthesisRequest) -> Analysis:
    """Analyze how a voice would read a text. No network runs but the front end's.

    Parameters
    ----------
    engine : Engine
        The loaded voice.
    request : SynthesisRequest
        The text, and how it is read.

    Returns
    -------
    Analysis
        The sentences, what is ignored, and what decided the readings.

    Raises
    ------
    InputError
        If the text cannot be read.
    """
    script = build_script(engine, request.text, ssml=request.ssml, options=request.reading_options, explained=True)
    sentences = (part.sentence for part in script.parts if isinstance(part, Passage))
    return Analysis(request.text, tuple(sentences), script.notices, script.decisions)
