"""From a request to an answer: the values that cross between the HTTP process and the replicas."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

import numpy as np
from kubevoice.audio.encode import encode_audio, open_encoder
from kubevoice.audio.loudness import to_loudness
from kubevoice.engine import Batch, Controls, Engine, script_of
from kubevoice.engine.speaking import Heard, speak_and_time
from kubevoice.engine.timing import Times, Timing, time_parts
from kubevoice.errors import InputError, SilentError
from kubevoice.text import Lexicon
from kubevoice.text.ssml import Notice
from numpy.typing import NDArray

from kubevoice_serving.tracing import Span

__all__ = [
    "Full",
    "Piece",
    "Preceding",
    "Refusal",
    "SpeechAnswer",
    "SpeechEnd",
    "SpeechHead",
    "SpeechItem",
    "SpeechJob",
    "StreamItem",
    "Timed",
    "Track",
    "Utterance",
    "time_job",
]

Array = NDArray[np.float32]


class Track(StrEnum):
    """Which replicas: those of the revision that serves, or of the one that is being tried."""

    STABLE = "stable"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Preceding:
    """What was spoken before for the same listener: which revision spoke, and the seconds of it yet to be heard."""

    revision: str
    lead: float


@dataclass(frozen=True, slots=True)
class SpeechJob:
    """What to speak and how. `voice` None is the default voice."""

    text: str
    voice: str | None = None
    audio_format: str = "wav"
    controls: Controls = field(default_factory=Controls)
    ssml: bool = False
    """The text is an SSML document."""
    lexicon: Lexicon | None = None
    """Readings that come before the voice's own."""
    loudness: float | None = None
    """LUFS that an answer is brought to which is made whole."""
    fresh: bool = False
    """Speak it anew, whatever is remembered."""
    timestamps: bool = False
    """A stream tells when words are heard."""
    patience: float = 1.0
    """Seconds after which an answer that is made whole is due; a stream is at once."""
    preceding: Preceding | None = None
    """What a stream goes on with."""
    trace: dict[str, str] = field(default_factory=dict)
    """With what a replica goes on with the trace of the request (see tracing); empty if there is none."""


@dataclass(frozen=True, slots=True)
class SpeechHead:
    """What is known when speech begins."""

    audio_format: str
    sample_rate: int
    voice: str
    revision: str
    notices: tuple[Notice, ...] = ()
    """What of the document is not obeyed."""
    cached: str = ""
    """Which tier remembered it, if one did."""

    @property
    def traced(self) -> dict[str, str]:
        """What a trace tells of it."""
        told = {"voice": self.voice, "revision": self.revision, "format": self.audio_format}
        return told | ({"cached": self.cached} if self.cached else {})


@dataclass(frozen=True, slots=True)
class SpeechEnd:
    """What speech has cost, in seconds."""

    audio_seconds: float
    synthesis_seconds: float
    """Work alone, without waiting for other requests."""
    queue_seconds: float
    first_audio_seconds: float
    """From the request's arrival at the replica to its first samples."""


@dataclass(frozen=True, slots=True)
class SpeechAnswer:
    """Encoded speech, whole."""

    head: SpeechHead
    audio: bytes
    end: SpeechEnd
    times: Times = field(default_factory=Times)
    """Empty unless the job asked for them."""


@dataclass(frozen=True, slots=True)
class Timed:
    """When the words of a job are heard, as a revision of a voice speaks them."""

    voice: str
    revision: str
    timing: Timing


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request cannot be met: the caller's mistake, told as a value because it is no failure of ours."""

    message: str
    problems: tuple[str, ...] = ()
    silent: bool = False
    """There is nothing in the text that can be spoken; the rest of the request may be right."""

    @classmethod
    def of(cls, error: InputError) -> Self:
        """Return what is told of an error."""
        return cls(str(error), error.problems, isinstance(error, SilentError))


@dataclass(frozen=True, slots=True)
class Full:
    """The replica has more listeners than it can speak for; a new one would make others' audio stop."""


SpeechItem = SpeechHead | Times | bytes | SpeechEnd | Refusal
"""A stream is a Refusal, or a SpeechHead, pieces of the file, and a SpeechEnd.

If the job asks for times, those of a sentence come before the first piece in which it is heard.
"""
StreamItem = SpeechItem | Full
"""What a replica streams."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file: its bytes, perhaps none yet, the seconds that were spoken for it, and what is heard in it."""

    audio: bytes
    seconds: float
    times: Times


class Utterance:
    """One request being spoken: iterate over it for samples, then ask what it cost.

    `arrived` is time.perf_counter() when the job came, `batch` those who are spoken to by turns. Iterating raises
    InputError for text or controls that the voice cannot speak. What takes time is kept in `span`.
    """

    def __init__(self, job: SpeechJob, name: str, engine: Engine, arrived: float, span: Span, batch: Batch) -> None:
        self.job, self._name, self._engine, self._arrived, self._span = job, name, engine, arrived, span
        self._batch = batch
        self._notices: tuple[Notice, ...] = ()
        self._began = self._first = arrived
        self._work = 0.0
        self._samples = 0

    def __iter__(self) -> Iterator[Array]:
        return (heard for heard in self._heard() if not isinstance(heard, Times))

    def _heard(self) -> Iterator[Heard]:
        began = self._began = time.perf_counter()
        self._span.past("wait", began - self._arrived)
        script = script_of(self._engine, self.job.text, ssml=self.job.ssml, lexicon=self.job.lexicon)
        self._worked("read", began)
        self._notices = script.notices
        found = speak_and_time(self._engine, script.parts, self.job.controls, batch=self._batch)
        while True:
            began = time.perf_counter()
            heard = next(found, None)
            if heard is None:
                return
            if isinstance(heard, Times):
                self._worked("plan", began)
            else:
                self._worked("synthesize", began, audio_seconds=self.seconds(heard))
                if not self._samples:
                    self._first = time.perf_counter()
                self._samples += len(heard)
            yield heard

    def _worked(self, name: str, began: float, **attributes: float) -> None:
        """Count what began then and ends now."""
        seconds = time.perf_counter() - began
        self._work += seconds
        self._span.past(name, seconds, **attributes)

    def encoded(self) -> Iterator[Piece]:
        """Speak into a file that is sent while it is made."""
        encoder = open_encoder(self._engine.sample_rate, self.job.audio_format)
        times = Times()
        for heard in self._heard():
            if isinstance(heard, Times):
                times += heard
            else:
                began = time.perf_counter()
                audio = encoder.push(heard) if len(heard) else b""
                self._span.past("encode", time.perf_counter() - began)
                yield Piece(audio, self.seconds(heard), times)
                times = Times()
        yield Piece(encoder.finish(), 0.0, times)

    def seconds(self, samples: Array) -> float:
        """Return how long one hears `samples`."""
        return len(samples) / self._engine.sample_rate

    @property
    def head(self) -> SpeechHead:
        """What is known once the first samples are there."""
        rate, revision = self._engine.sample_rate, self._engine.revision
        return SpeechHead(self.job.audio_format, rate, self._name, revision, self._notices)

    @property
    def end(self) -> SpeechEnd:
        """What it has cost."""
        return SpeechEnd(
            audio_seconds=self._samples / self._engine.sample_rate,
            synthesis_seconds=self._work,
            queue_seconds=self._began - self._arrived,
            first_audio_seconds=self._first - self._arrived,
        )

    def answer(self, samples: Array) -> SpeechAnswer:
        """Encode the whole speech."""
        began = time.perf_counter()
        if self.job.loudness is not None:
            samples = to_loudness(samples, self._engine.sample_rate, self.job.loudness)
        audio = encode_audio(samples, self._engine.sample_rate, self.job.audio_format)
        self._span.past("encode", time.perf_counter() - began)
        return SpeechAnswer(self.head, audio, self.end)


def time_job(job: SpeechJob, name: str, engine: Engine) -> Timed:
    """Return when the words of `job` are heard. Raises InputError for text or controls that the voice cannot speak."""
    script = script_of(engine, job.text, ssml=job.ssml, lexicon=job.lexicon)
    return Timed(name, engine.revision, time_parts(engine, script.parts, job.controls))
