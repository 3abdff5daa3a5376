"""The voices of a replica: fetching bundles by revision, and loading them."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self
from urllib.parse import unquote, urlparse

from kubevoice.engine import Engine
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import SynthesizerConfig, VoiceConfig
from kubevoice.storage import connect, fetch_tree
from kubevoice.text import analyse
from kubevoice.voice import Bundle, builtin_voice, load_bundle

from kubevoice_serving.domain import VoiceInfo

__all__ = ["VoiceSet", "load_voices"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VoiceSet:
    """The voices of one configuration. A replica replaces the whole set at once.

    Attributes
    ----------
    engines : mapping of str to Engine
        Loaded voices by their public names.
    default : str
        Name of the voice of requests that name none.
    """

    engines: Mapping[str, Engine]
    default: str

    @classmethod
    def empty(cls) -> Self:
        """Return a set without voices.

        Returns
        -------
        VoiceSet
            What a replica has before its first configuration.
        """
        return cls(MappingProxyType({}), "")

    def get(self, name: str | None) -> tuple[str, Engine]:
        """Return a voice and its name.

        Parameters
        ----------
        name : str or None
            Name of the voice; None is the default voice.

        Returns
        -------
        tuple of str and Engine
            Name of the voice, and its engine.

        Raises
        ------
        InputError
            If there is no such voice; the message lists those there are.
        """
        name = name or self.default
        if name not in self.engines:
            raise InputError(f"there is no voice {name!r}; there are: {', '.join(self.engines) or 'none'}")
        return name, self.engines[name]

    def describe(self) -> tuple[VoiceInfo, ...]:
        """Describe the voices for /v1/voices.

        Returns
        -------
        tuple of VoiceInfo
            The voices in the order of the configuration.
        """
        return tuple(
            VoiceInfo(
                name=name,
                revision=engine.revision,
                language=engine.manifest.language,
                sample_rate=engine.sample_rate,
                speakers=engine.manifest.speakers,
                emotions=tuple(emotion.label for emotion in engine.manifest.emotions),
                styles=engine.manifest.styles,
                metrics=engine.manifest.metrics,
                attribution=engine.manifest.attribution,
                default=name == self.default,
            )
            for name, engine in self.engines.items()
        )


def _resolve_local_folder(uri: str) -> Path | None:
    """Return the folder of an address on this machine, None for remote ones."""
    if uri.startswith("builtin://"):
        return builtin_voice(uri)
    if uri.startswith("file://"):
        return Path(unquote(urlparse(uri).path))
    return None if re.match(r"^[a-z0-9]+://", uri) else Path(uri)


def fetch_bundle(voice: VoiceConfig, cache: Path) -> Bundle:
    """Return the bundle of a voice, fetched into the cache unless it is there already.

    Parameters
    ----------
    voice : VoiceConfig
        Where the bundle is, and its digest.
    cache : Path
        Folder in which each fetched bundle has a folder named by its digest.

    Returns
    -------
    Bundle
        The bundle, whose files match their digests.

    Raises
    ------
    InputError
        If the address holds another revision than the one configured, or if the bundle is malformed.
    StorageError
        If it cannot be fetched.
    """
    folder = _resolve_local_folder(voice.uri)
    if folder is None:
        folder = cache / voice.revision.removeprefix("sha256:")
        if not (folder / "voice.json").is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            fetch_tree(connect(voice.uri, voice.storage.s3_options()), "", folder)
    bundle = load_bundle(folder)
    if bundle.digest != voice.revision:
        raise InputError(
            f"{voice.uri} holds revision {bundle.digest}, but voice {voice.name} is configured with {voice.revision}; "
            "correct the revision or the uri"
        )
    return bundle


def load_voices(config: SynthesizerConfig, cache: Path, loaded: VoiceSet) -> VoiceSet:
    """Load the voices of a configuration.

    Parameters
    ----------
    config : SynthesizerConfig
        The voices to load.
    cache : Path
        Folder for fetched bundles.
    loaded : VoiceSet
        Voices loaded before; an engine whose revision and thread count stay the same is reused.

    Returns
    -------
    VoiceSet
        New engines have synthesized once, so that no request pays for ONNX Runtime's first run.

    Raises
    ------
    InputError, KubeVoiceError
        If a bundle cannot be fetched or loaded.
    """
    # Keyed by revision: a renamed voice keeps its engine.
    reusable = {engine.revision: engine for engine in loaded.engines.values() if engine.threads == config.threads}
    engines: dict[str, Engine] = {}
    for voice in config.voices:
        engine = reusable.get(voice.revision)
        if engine is None:
            engine = Engine(fetch_bundle(voice, cache), threads=config.threads)
            engine.synthesize(analyse("你好。").sentences[0].units)
            logger.info("loaded voice %s revision %s from %s", voice.name, voice.revision, voice.uri)
        engines[voice.name] = engine
    return VoiceSet(MappingProxyType(engines), config.default_name)
