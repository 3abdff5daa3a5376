"""What a replica that loads voices on demand says of them in /v1/voices and /v1/revisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kubevoice.resources.data_plane import ReplicaState, ResidentVoices, VoiceConfig, VoiceLoads
from kubevoice.voice import VoiceManifest

from kubevoice_serving.domain import VoiceInfo, VoiceState
from kubevoice_serving.replica.voices import describe_voice

__all__ = ["LoadCounts", "VoiceReport", "describe_report", "report_state"]


@dataclass(frozen=True, slots=True)
class VoiceReport:
    """What a replica knows of a configured voice.

    Attributes
    ----------
    voice : VoiceConfig
        Its configuration.
    loaded : str or None
        The revision that is in memory and answers; that before the configured one while the new one is loaded.
    loading : bool
        Whether the configured revision is being loaded.
    manifest : VoiceManifest or None
        The manifest of the configured revision, if it was read.
    failure : str or None
        Why the last attempt to read or load it failed.
    """

    voice: VoiceConfig
    loaded: str | None
    loading: bool
    manifest: VoiceManifest | None
    failure: str | None

    @property
    def answering(self) -> str | None:
        """The revision that a request gets; None if it would be refused, or if nothing is known yet."""
        return self.loaded or (self.voice.revision if self.manifest and not self.failure else None)


class LoadCounts:
    """Loads and evictions of each voice since the replica started."""

    def __init__(self) -> None:
        self.loads: dict[str, VoiceLoads] = {}
        """The counts by the name of the voice."""

    def add_load(self, name: str, seconds: float) -> None:
        """Count a load.

        Parameters
        ----------
        name : str
            The voice.
        seconds : float
            How long it took.
        """
        old = self.loads.get(name, VoiceLoads())
        self.loads[name] = old.model_copy(update={"loads": old.loads + 1, "seconds": old.seconds + seconds})

    def add_evictions(self, names: Iterable[str]) -> None:
        """Count an eviction of each voice.

        Parameters
        ----------
        names : iterable of str
            The voices.
        """
        for name in names:
            old = self.loads.get(name, VoiceLoads())
            self.loads[name] = old.model_copy(update={"evictions": old.evictions + 1})


def describe_report(report: VoiceReport, default: str) -> VoiceInfo:
    """Describe a voice for /v1/voices.

    Parameters
    ----------
    report : VoiceReport
        What is known of it.
    default : str
        Name of the default voice.

    Returns
    -------
    VoiceInfo
        The voice.
    """
    not_loaded = VoiceState.FAILED if report.failure else VoiceState.AVAILABLE
    state = VoiceState.LOADED if report.loaded else not_loaded
    voice = report.voice
    return describe_voice(
        voice.name, report.loaded or voice.revision, report.manifest, state, default=voice.name == default
    )


def report_state(
    replica: str, voices: Sequence[VoiceReport], used: int, budget: int, counts: LoadCounts
) -> ReplicaState:
    """Report the voices for /v1/revisions.

    Parameters
    ----------
    replica : str
        Name of the replica.
    voices : sequence of VoiceReport
        What is known of each.
    used, budget : int
        Bytes that the loaded voices are, and may be, accounted for.
    counts : LoadCounts
        Loads and evictions.

    Returns
    -------
    ReplicaState
        The state, without default voice and error of the configuration.
    """
    return ReplicaState(
        replica=replica,
        voices={report.voice.name: report.answering for report in voices if report.answering},
        loading={
            report.voice.name: report.voice.revision
            for report in voices
            if report.loading or not (report.loaded or report.manifest or report.failure)
        },
        resident=ResidentVoices(
            voices={report.voice.name: report.loaded for report in voices if report.loaded},
            memory_bytes=used,
            budget_bytes=budget,
            loads=counts.loads,
        ),
        errors={report.voice.name: report.failure for report in voices if report.failure},
    )
