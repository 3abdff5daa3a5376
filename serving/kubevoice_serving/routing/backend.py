"""The interface between the HTTP application and the replicas, wherever they run."""

from collections.abc import AsyncGenerator
from typing import Protocol

from kubevoice.resources.data_plane import ReplicaState, Track, TrackTraffic
from kubevoice.text import Analysis, Lexicon

from kubevoice_serving.domain import Refusal, SpeechItem, SpeechTiming, SynthesisRequest, SynthesisResult
from kubevoice_serving.replica.synthesizer import VoiceInfo

__all__ = ["Backend", "UnavailableError"]


class UnavailableError(Exception):
    """No replica can answer now; HTTP 503.

    Attributes
    ----------
    retry_after : int
        Seconds after which the caller should try again.
    """

    retry_after = 5


class Backend(Protocol):
    """What the HTTP application needs of the replicas.

    Except for `list_replicas` and `track_traffic`, every method raises AtCapacityError if all replicas are at capacity
    and the queue is full, and UnavailableError if no replica can answer.
    """

    async def synthesize(self, request: SynthesisRequest) -> SynthesisResult | Refusal:
        """Synthesize a complete speech."""

    def stream(self, request: SynthesisRequest) -> AsyncGenerator[SpeechItem, None]:
        """Synthesize and yield the file while it is made.

        Close the generator to stop the work.

        Yields
        ------
        SpeechItem
            See `domain.SpeechItem` for the order.

        Raises
        ------
        AtCapacityError
            Before the first item, if all replicas are at capacity.
        UnavailableError
            If no replica can answer, or if the replica is lost while it streams.
        """

    async def compute_timing(self, request: SynthesisRequest) -> SpeechTiming | Refusal:
        """Compute when the words of a request are heard."""

    async def analyze(
        self, text: str, lexicon: Lexicon | None = None, *, ssml: bool = False, voice: str | None = None
    ) -> Analysis | Refusal:
        """Analyze how a voice would read a text; see `Synthesizer.analyze`."""

    async def list_voices(self) -> tuple[VoiceInfo, ...]:
        """List voices; empty before any is loaded."""

    async def list_replicas(self) -> list[ReplicaState]:
        """List what each replica has loaded; replicas that do not answer in time are left out."""

    def track_traffic(self) -> dict[Track, TrackTraffic]:
        """Return what became of the requests of each track since the present canary was configured."""
