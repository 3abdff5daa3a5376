"""What a replica needs of its voices, however they are loaded."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from kubevoice.engine import Engine
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import ReplicaState, SynthesizerConfig
from kubevoice.voice import VoiceManifest

from kubevoice_serving.domain import VoiceInfo, VoiceState

__all__ = ["VoiceSource", "describe_voice"]


class VoiceSource(Protocol):
    """The voices of a replica: all loaded beforehand (`PreloadedVoices`), or on demand (`OnDemandVoices`)."""

    async def configure(self, config: SynthesizerConfig) -> None:
        """Take a configuration.

        Parameters
        ----------
        config : SynthesizerConfig
            The voices.

        Raises
        ------
        KubeVoiceError
            If the first configuration cannot be served.
        """

    def refuse(self, error: InputError) -> bool:
        """Keep the voices of the last configuration, and the reason why the new one is not valid.

        Parameters
        ----------
        error : InputError
            The reason.

        Returns
        -------
        bool
            False if there is no configuration to keep.
        """

    def use(self, name: str | None) -> AbstractAsyncContextManager[tuple[str, Engine]]:
        """Return a context in which a voice is loaded and stays so.

        Parameters
        ----------
        name : str or None
            Name of a voice; None is the default voice.

        Returns
        -------
        async context manager of (str, Engine)
            The name of the voice and its engine. Entering raises UnknownVoiceError if there is no such voice,
            UnavailableError if it cannot be loaded now, AtCapacityError if there is no memory for it, and
            KubeVoiceError if no voice could be loaded.
        """

    def resolve(self, name: str | None) -> str:
        """Return the voice that a request means.

        Parameters
        ----------
        name : str or None
            Name of a voice; None is the default voice.

        Returns
        -------
        str
            Name of the voice, which need not exist.
        """

    def describe(self) -> tuple[VoiceInfo, ...]:
        """Describe the voices for /v1/voices.

        Returns
        -------
        tuple of VoiceInfo
            The voices in the order of the configuration.
        """

    def get_state(self, replica: str) -> ReplicaState:
        """Report what is loaded.

        Parameters
        ----------
        replica : str
            Name of the replica.

        Returns
        -------
        ReplicaState
            The state.
        """

    async def close(self) -> None:
        """Stop loading voices."""


def describe_voice(
    name: str, revision: str, manifest: VoiceManifest | None, state: VoiceState, *, default: bool
) -> VoiceInfo:
    """Describe a voice for /v1/voices.

    Parameters
    ----------
    name : str
        Its name.
    revision : str
        The revision that answers.
    manifest : VoiceManifest or None
        Its manifest; None if it has not been read.
    state : VoiceState
        Whether it is loaded.
    default : bool
        Whether it answers requests that name no voice.

    Returns
    -------
    VoiceInfo
        The voice.
    """
    return VoiceInfo(
        name=name,
        revision=revision,
        language=manifest.language if manifest else None,
        sample_rate=manifest.sample_rate if manifest else None,
        speakers=manifest.speakers if manifest else (),
        emotions=tuple(emotion.label for emotion in manifest.emotions) if manifest else (),
        styles=manifest.styles if manifest else (),
        metrics=manifest.metrics if manifest else {},
        attribution=manifest.attribution if manifest else (),
        default=default,
        state=state,
    )
