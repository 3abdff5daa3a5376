"""The interface between the HTTP application and the replicas, wherever they run."""

from collections.abc import AsyncGenerator
from typing import Protocol

from kubevoice.resources.data_plane import ReplicaState, Track, TrackTraffic
from kubevoice.text import Analysis

from kubevoice_serving.domain import Refusal, SpeechItem, SpeechTiming, SynthesisRequest, SynthesisResult, VoiceInfo

__all__ = ["Backend"]


class Backend(Protocol):
    """What the HTTP application needs of the replicas.

    Except for `list_replicas` and `track_traffic`, every method raises AtCapacityError if all replicas are at capacity
    and the queue is full, and UnavailableError if no replica can answer.
    """

    async def synthesize(self, request: SynthesisRequest) -> SynthesisResult | Refusal:
        """Synthesize a complete speech.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Returns
        -------
        SynthesisResult or Refusal
            The speech, or why the voice cannot synthesize the request.
        """

    def stream(self, request: SynthesisRequest) -> AsyncGenerator[SpeechItem, None]:
        """Stream a speech.

        Close the generator to stop the work.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

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
        """Compute when the words of a request are heard.

        Parameters
        ----------
        request : SynthesisRequest
            The request; the encoder alone runs.

        Returns
        -------
        SpeechTiming or Refusal
            Times in seconds from the beginning of the audio, or why the voice cannot synthesize the request.
        """

    async def analyze(self, request: SynthesisRequest) -> Analysis | Refusal:
        """Analyze how a voice would read a text.

        Parameters
        ----------
        request : SynthesisRequest
            The text, how it is read, and the voice.

        Returns
        -------
        Analysis or Refusal
            The sentences as the front end reads them, or why it cannot read the text.
        """

    async def list_voices(self) -> tuple[VoiceInfo, ...]:
        """List the voices.

        Returns
        -------
        tuple of VoiceInfo
            The voices of one replica; empty before any is loaded.
        """

    async def list_replicas(self) -> list[ReplicaState]:
        """List what each replica has loaded.

        Returns
        -------
        list of ReplicaState
            A state for each replica that answered in time.
        """

    def track_traffic(self) -> dict[Track, TrackTraffic]:
        """Count the requests of each track.

        Returns
        -------
        dict of Track to TrackTraffic
            The counts since the present canary was configured, by track.
        """
