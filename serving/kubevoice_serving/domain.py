"""Values passed between the HTTP process and the replicas. They have no logic; Ray pickles them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from kubevoice.engine import Controls
from kubevoice.engine.timing import Times, Timing
from kubevoice.errors import InputError, SilentError
from kubevoice.text import ReadingOptions
from kubevoice.text.ssml import Notice

from kubevoice_serving.unknown_voice import UnknownVoiceError

__all__ = [
    "AtCapacityError",
    "Preceding",
    "Refusal",
    "ReplicaItem",
    "SpeechHead",
    "SpeechItem",
    "SpeechTiming",
    "SynthesisRequest",
    "SynthesisResult",
    "SynthesisStats",
    "UnavailableError",
    "VoiceInfo",
    "VoiceState",
]


@dataclass(frozen=True, slots=True)
class Preceding:
    """What the same listener has been sent before this request, when one speech is made of several requests.

    Attributes
    ----------
    revision : str
        Digest of the bundle that synthesized it.
    buffered_seconds : float
        Seconds of audio that the listener has not played yet; 0 if playback has caught up.
    """

    revision: str
    buffered_seconds: float


@dataclass(frozen=True, slots=True)
class SynthesisRequest:
    """What to synthesize and how. The HTTP process builds it of a request's body, and a replica executes it.

    Attributes
    ----------
    text : str
        Plain text, or an SSML document if `ssml` is set.
    voice : str or None
        Name of a voice; None is the default voice.
    audio_format : str
        One of `kubevoice.audio.encode.CONTENT_TYPES`.
    controls : Controls
        Speed, pitch, volume, emotion and speaker.
    instructions : str or None
        A description of the way to speak, which chooses controls where it names one.
    ssml : bool
        Whether the text is an SSML document.
    reading_options : ReadingOptions
        How the text is read, beside the voice's own settings.
    loudness : float or None
        Integrated loudness in LUFS that a complete result is brought to; None leaves it as synthesized. Streams ignore
        it, because it is known only at the end.
    silence : bool
        Whether text with nothing to speak becomes a short silence; otherwise it is refused.
    bypass_cache : bool
        Synthesize even if the response cache has a result.
    timestamps : bool
        Whether a stream has `Times` items among its chunks.
    due_seconds : float
        Seconds from arrival after which a complete result is due; the scheduler orders by it. A stream is due at once.
    wait_seconds : float or None
        Seconds from arrival in which work on a complete result must begin; None waits without end.
    preceding : Preceding or None
        Set if this request continues a speech.
    trace : dict
        W3C Trace Context headers of the request's span (see `tracing`); empty if it is not traced.
    """

    text: str
    voice: str | None = None
    audio_format: str = "wav"
    controls: Controls = field(default_factory=Controls)
    instructions: str | None = None
    ssml: bool = False
    reading_options: ReadingOptions = field(default_factory=ReadingOptions)
    loudness: float | None = None
    silence: bool = False
    bypass_cache: bool = False
    timestamps: bool = False
    due_seconds: float = 1.0
    wait_seconds: float | None = None
    preceding: Preceding | None = None
    trace: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpeechHead:
    """What is known of a speech when its first samples are ready.

    Attributes
    ----------
    audio_format : str
        Format of the audio that follows.
    sample_rate : int
        Samples per second.
    voice, revision : str
        Name and bundle digest of the voice that synthesizes.
    notices : tuple of Notice
        Parts of the request that have no effect.
    cache_tier : str
        Tier of the response cache that the speech came from, "memory" or "redis"; empty if it was synthesized.
    silent : bool
        Whether the text has nothing to speak, and the speech is a silence. It is not cached: other requests refuse it.
    """

    audio_format: str
    sample_rate: int
    voice: str
    revision: str
    notices: tuple[Notice, ...] = ()
    cache_tier: str = ""
    silent: bool = False

    @property
    def trace_attributes(self) -> dict[str, str]:
        """Attributes of a span that describe this speech."""
        attributes = {"voice": self.voice, "revision": self.revision, "format": self.audio_format}
        return attributes | ({"cached": self.cache_tier} if self.cache_tier else {})


@dataclass(frozen=True, slots=True)
class SynthesisStats:
    """Length and cost of a speech, all in seconds.

    Attributes
    ----------
    audio_seconds : float
        Length of the audio.
    synthesis_seconds : float
        Time spent working on this request alone, without waiting for others.
    queue_seconds : float
        Time from arrival at the replica until work began.
    first_audio_seconds : float
        Time from arrival at the replica until the first samples.
    """

    audio_seconds: float
    synthesis_seconds: float
    queue_seconds: float
    first_audio_seconds: float


@dataclass(frozen=True, slots=True)
class SynthesisResult:
    """A complete speech: head, encoded file and costs. `times` is empty unless the request asked for timestamps."""

    head: SpeechHead
    audio: bytes
    stats: SynthesisStats
    times: Times = field(default_factory=Times)


@dataclass(frozen=True, slots=True)
class SpeechTiming:
    """When the words of a request begin and end in the audio of one revision of a voice."""

    voice: str
    revision: str
    timing: Timing


class VoiceState(StrEnum):
    """What a request for a voice finds: a loaded voice, one that is loaded for it, or one that cannot be loaded now."""

    LOADED = "loaded"
    AVAILABLE = "available"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class VoiceInfo:
    """A voice, as /v1/voices shows it. Its fields are those of the bundle's manifest.

    Before the manifest of a voice that is not loaded has been read, `language` and `sample_rate` are None and the rest
    is empty.
    """

    name: str
    revision: str
    language: str | None
    sample_rate: int | None
    speakers: tuple[str, ...]
    emotions: tuple[str, ...]
    styles: tuple[str, ...]
    metrics: dict[str, float]
    attribution: tuple[str, ...]
    default: bool
    state: VoiceState = VoiceState.LOADED


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request cannot be met. It is the caller's mistake, so it is returned and not raised.

    Attributes
    ----------
    message : str
        What is wrong, for the caller.
    problems : tuple of str
        Every fault, if there are several.
    silent : bool
        Whether the only fault is that nothing in the text can be synthesized.
    unknown_voice : bool
        Whether the fault is that there is no voice of this name.
    """

    message: str
    problems: tuple[str, ...] = ()
    silent: bool = False
    unknown_voice: bool = False

    @classmethod
    def from_error(cls, error: InputError) -> Self:
        """Return a refusal with the message of an InputError.

        Parameters
        ----------
        error : InputError
            The error that the synthesis raised.

        Returns
        -------
        Refusal
            A refusal with the message and the problems of the error.
        """
        unknown_voice = isinstance(error, UnknownVoiceError)
        return cls(str(error), error.problems, isinstance(error, SilentError), unknown_voice)


class AtCapacityError(Exception):
    """There are more requests than can be served; HTTP 429.

    A replica returns or streams it as a value, so that Ray does not log it as a failure; the HTTP process raises it.

    Parameters
    ----------
    message : str
        What is full.
    retry_after : int
        Seconds after which the caller should try again.
    """

    def __init__(
        self, message: str = "all replicas are at capacity and the queue is full", retry_after: int = 1
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(Exception):
    """No replica can answer now, or not with this voice; HTTP 503.

    A replica returns or streams it as a value for a voice that it cannot load; the HTTP process raises it.

    Parameters
    ----------
    message : str
        Why.
    retry_after : int
        Seconds after which the caller should try again.
    """

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


SpeechItem = SpeechHead | Times | bytes | SynthesisStats | Refusal
"""An item of a speech stream.

A stream is one Refusal, or a SpeechHead, chunks of the file as bytes, and SynthesisStats at the end. If the request
asks for timestamps, the Times of a sentence come before the first chunk in which it is heard.
"""
ReplicaItem = SpeechItem | AtCapacityError | UnavailableError
"""An item of a replica's stream: a SpeechItem, or one error in place of everything else."""
