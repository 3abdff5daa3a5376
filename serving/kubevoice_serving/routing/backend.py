"""What the HTTP application asks of the replicas, wherever they run."""

from collections.abc import AsyncGenerator
from typing import Protocol

from kubevoice.text import Analysis, Lexicon

from kubevoice_serving.domain import Refusal, SpeechAnswer, SpeechItem, SpeechJob, Timed, Track
from kubevoice_serving.replica.synthesizer import ReplicaState, VoiceInfo
from kubevoice_serving.routing.tracks import TrackTraffic

__all__ = ["Backend", "BusyError", "UnavailableError"]


class BusyError(Exception):
    """Every replica is busy and the queue is full."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("all replicas are busy and the queue is full")
        self.retry_after = retry_after


class UnavailableError(Exception):
    """No replica can answer now."""

    retry_after = 5


class Backend(Protocol):
    """What the HTTP application needs of the replicas."""

    async def speak(self, job: SpeechJob) -> SpeechAnswer | Refusal:
        """Speak; BusyError or UnavailableError if no replica can."""

    def stream(self, job: SpeechJob) -> AsyncGenerator[SpeechItem, None]:
        """Speak, and yield the file while it is made.

        BusyError or UnavailableError if no replica can, UnavailableError also if one is lost on the way.
        """

    async def time(self, job: SpeechJob) -> Timed | Refusal:
        """Tell when the words of a job are heard; BusyError or UnavailableError if no replica can."""

    async def analyze(
        self, text: str, lexicon: Lexicon | None = None, *, ssml: bool = False, voice: str | None = None
    ) -> Analysis | Refusal:
        """Show how a voice would read text."""

    async def voices(self) -> tuple[VoiceInfo, ...]:
        """List voices; empty before any is loaded."""

    async def states(self) -> list[ReplicaState]:
        """Tell what each replica serves."""

    def traffic(self) -> dict[Track, TrackTraffic]:
        """Tell what became of the requests since the canary of now appeared."""
