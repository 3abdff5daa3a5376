"""The part of a `Backend` that passes calls on to another one."""

from kubevoice.resources.data_plane import ReplicaState, Track, TrackTraffic
from kubevoice.text import Analysis

from kubevoice_serving.domain import Refusal, SpeechTiming, SynthesisRequest, VoiceInfo
from kubevoice_serving.routing.backend import Backend

__all__ = ["ForwardingBackend"]


class ForwardingBackend:
    """Passes on everything but speech, which a subclass adds.

    Parameters
    ----------
    backend : Backend
        Answers.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def compute_timing(self, request: SynthesisRequest) -> SpeechTiming | Refusal:
        """Compute when the words of a request are heard.

        Parameters
        ----------
        request : SynthesisRequest
            The request.

        Returns
        -------
        SpeechTiming or Refusal
            The backend's answer.
        """
        return await self._backend.compute_timing(request)

    async def analyze(self, request: SynthesisRequest) -> Analysis | Refusal:
        """Analyze how a voice would read a text.

        Parameters
        ----------
        request : SynthesisRequest
            As for `Backend.analyze`.

        Returns
        -------
        Analysis or Refusal
            The backend's answer.
        """
        return await self._backend.analyze(request)

    async def list_voices(self) -> tuple[VoiceInfo, ...]:
        """List the voices.

        Returns
        -------
        tuple of VoiceInfo
            The backend's answer.
        """
        return await self._backend.list_voices()

    async def list_replicas(self) -> list[ReplicaState]:
        """List what each replica has loaded.

        Returns
        -------
        list of ReplicaState
            The backend's answer.
        """
        return await self._backend.list_replicas()

    def track_traffic(self) -> dict[Track, TrackTraffic]:
        """Count the requests of each track.

        Returns
        -------
        dict of Track to TrackTraffic
            The backend's counts.
        """
        return self._backend.track_traffic()
