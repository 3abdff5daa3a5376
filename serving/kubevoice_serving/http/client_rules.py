"""Rules for requests of clients that were made for other servers: names of voices, and text with nothing to speak."""

from collections.abc import Collection
from dataclasses import replace

from kubevoice.resources.clients import SilentText, UnknownVoice
from kubevoice.resources.data_plane import AliasConfig, IngressConfig
from kubevoice.text.ssml import Notice

from kubevoice_serving.domain import SynthesisRequest
from kubevoice_serving.routing.backend import Backend

__all__ = ["ClientRules"]

OPENAI_VOICES = frozenset(
    ["alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"]
)
"""Names that clients have as defaults. Each means the default voice if there is neither a voice nor an alias of it."""


class ClientRules:
    """The rules in force. They may change between any two requests.

    Parameters
    ----------
    config : IngressConfig or None
        The first rules; None has no aliases and refuses unknown voices.
    """

    def __init__(self, config: IngressConfig | None = None) -> None:
        self._config = config or IngressConfig()
        """Set by `configure`."""

    def configure(self, config: IngressConfig) -> None:
        """Set new rules, which hold from the next request on.

        Parameters
        ----------
        config : IngressConfig
            Its voices and `clients`.
        """
        self._config = config

    def list_aliases(self, voices: Collection[str]) -> tuple[str, ...]:
        """List the configured further names of voices.

        Parameters
        ----------
        voices : collection of str
            Names of the voices that the caller sees.

        Returns
        -------
        tuple of str
            The aliases that mean one of them or the default voice, and are not names of voices themselves.
        """
        aliases = self._config.clients.aliases.items()
        return tuple(
            name for name, alias in aliases if name not in voices and (alias.voice is None or alias.voice in voices)
        )

    def allow_silence(self, request: SynthesisRequest) -> SynthesisRequest:
        """Let text with nothing to speak become a silence, unless the rules want no content.

        Parameters
        ----------
        request : SynthesisRequest
            A request.

        Returns
        -------
        SynthesisRequest
            The request to send to a replica.
        """
        return replace(request, silence=self._config.clients.silent_text is SilentText.SILENCE)

    async def resolve_voice(
        self, request: SynthesisRequest, backend: Backend
    ) -> tuple[SynthesisRequest, tuple[Notice, ...]]:
        """Replace an alias by the voice that it means.

        Parameters
        ----------
        request : SynthesisRequest
            A request.
        backend : Backend
            Asked for the voices if the configuration does not list them.

        Returns
        -------
        tuple of SynthesisRequest and tuple of Notice
            The request with a voice, a speaker and an emotion; a notice if the default voice replaces an unknown one.

        Raises
        ------
        AtCapacityError, UnavailableError
            As `Backend.list_voices`.
        """
        name, config = request.voice, self._config
        if not name or name in config.voices:
            return request, ()
        alias = config.clients.aliases.get(name)
        if alias is None and name.lower() in OPENAI_VOICES:
            alias = AliasConfig()
        if alias is None and config.clients.unknown_voice is UnknownVoice.REFUSE:
            return request, ()  # a replica knows the names to suggest
        if not config.voices and any(voice.name == name for voice in await backend.list_voices()):
            return request, ()
        if alias is None:
            return replace(request, voice=None), (
                Notice(f"there is no voice {name[:64]!r}; the default voice is used"),
            )
        controls = request.controls
        speaker = alias.speaker if controls.speaker is None else controls.speaker
        controls = replace(controls, speaker=speaker, emotion=controls.emotion or alias.emotion)
        return replace(request, voice=alias.voice, controls=controls), ()
