"""From a request to an answer: the values that cross between the HTTP process and the replicas."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from kubevoice.audio.encode import encode_audio
from kubevoice.engine import Controls, Engine, script_of, speak_parts
from kubevoice.text import Lexicon
from kubevoice.text.ssml import Notice

__all__ = ["Refusal", "SpeechAnswer", "SpeechJob", "StoppedError", "speak"]


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


@dataclass(frozen=True, slots=True)
class SpeechAnswer:
    """Encoded speech and what it cost."""

    audio: bytes
    audio_format: str
    sample_rate: int
    voice: str
    revision: str
    audio_seconds: float
    synthesis_seconds: float
    queue_seconds: float
    notices: tuple[Notice, ...] = ()
    """What of the document is not obeyed."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request cannot be met: the caller's mistake, told as a value because it is no failure of ours."""

    message: str
    problems: tuple[str, ...] = ()


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


def speak(job: SpeechJob, name: str, engine: Engine, arrived: float, *, stopped: Callable[[], bool]) -> SpeechAnswer:
    """Speak `job` with `engine`; `arrived` is time.perf_counter() when the job came.

    `stopped` is asked before each sentence; StoppedError if it says yes. Raises InputError for text or
    controls the voice cannot speak.
    """
    started = time.perf_counter()
    parts = []
    if stopped():
        raise StoppedError
    script = script_of(engine, job.text, ssml=job.ssml, lexicon=job.lexicon)
    for part in speak_parts(engine, script.parts, job.controls):
        parts.append(part)
        if stopped():
            raise StoppedError
    samples = np.concatenate(parts)
    audio = encode_audio(samples, engine.sample_rate, job.audio_format)
    return SpeechAnswer(
        audio=audio,
        audio_format=job.audio_format,
        sample_rate=engine.sample_rate,
        voice=name,
        revision=engine.revision,
        audio_seconds=len(samples) / engine.sample_rate,
        synthesis_seconds=time.perf_counter() - started,
        queue_seconds=started - arrived,
        notices=script.notices,
    )
