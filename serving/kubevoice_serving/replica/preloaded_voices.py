"""Voices that are all loaded before a replica answers, and replaced together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from kubevoice.engine import Engine
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.data_plane import ReplicaState, SynthesizerConfig

from kubevoice_serving.domain import VoiceInfo, VoiceState
from kubevoice_serving.replica.bundle_cache import BundleCache
from kubevoice_serving.replica.graph_store import GraphStore
from kubevoice_serving.replica.voices import describe_voice
from kubevoice_serving.unknown_voice import UnknownVoiceError

__all__ = ["PreloadedVoices"]

logger = logging.getLogger(__name__)


class PreloadedVoices:
    """A `VoiceSource` that loads all voices of a configuration.

    The first configuration is loaded before `configure` returns. Later ones, and the first of a canary, are loaded in
    the background, because Ray sends no requests to a replica that reconfigures: the old voices answer until the new
    ones can, and go on if those cannot be loaded.

    Parameters
    ----------
    cache : BundleCache
        Fetches the bundles.
    is_canary : bool
        Whether this is a replica of a canary. It loads its first voices in the background, because it has to run in
        order to report why they cannot be loaded.
    """

    def __init__(self, cache: BundleCache, *, is_canary: bool = False) -> None:
        self._cache, self._is_canary = cache, is_canary
        self._graphs = GraphStore()
        self._engines: Mapping[str, Engine] = MappingProxyType({})
        """The voices that answer, by name; replaced as a whole when a configuration has been loaded."""
        self._default = ""
        """Name of the voice of requests that name none; replaced with `_engines`."""
        self._target: dict[str, str] = {}
        """Voice names and revisions of the last configuration, empty if it is invalid."""
        self._error: str | None = None
        """Why the last configuration could not be loaded; cleared by `configure`."""
        self._loading: asyncio.Task[None] | None = None
        """The background load of the last configuration, also after it has ended; set by `configure`."""

    async def configure(self, config: SynthesizerConfig) -> None:
        """Load the voices of a configuration and serve them.

        Parameters
        ----------
        config : SynthesizerConfig
            The voices.

        Raises
        ------
        KubeVoiceError
            If a bundle of the first configuration cannot be loaded: a replica without voices must not become ready.
        """
        await self.close()
        self._error, self._target = None, {voice.name: voice.revision for voice in config.voices}
        if self._engines or self._is_canary:
            self._loading = asyncio.create_task(self._replace(config))
        else:
            await self._load(config)

    def refuse(self, error: InputError) -> bool:
        """Keep the voices of the last configuration, and the reason why the new one is not valid.

        Parameters
        ----------
        error : InputError
            The reason.

        Returns
        -------
        bool
            False if there is no configuration to keep, unless this is a canary, which reports the reason.
        """
        if not self._engines and not self._is_canary:
            return False
        if self._loading:
            self._loading.cancel()
        self._error, self._target = str(error), {}
        return True

    async def close(self) -> None:
        """Stop loading voices."""
        if self._loading:
            self._loading.cancel()

    async def _load(self, config: SynthesizerConfig) -> None:
        self._engines = await asyncio.to_thread(self._open_engines, config)
        self._default = config.default_name

    async def _replace(self, config: SynthesizerConfig) -> None:
        """Replace the voices once the new ones are loaded; keep them and the reason if that fails."""
        try:
            await self._load(config)
        except Exception as error:  # whatever it is, the old voices still serve, or the stable replicas do
            logger.exception("cannot load the new configuration")
            self._error = str(error) if isinstance(error, KubeVoiceError) else f"{type(error).__name__}: {error}"

    def _open_engines(self, config: SynthesizerConfig) -> Mapping[str, Engine]:
        """Load the voices. An engine whose revision and thread count stay the same is reused."""
        # Keyed by revision: a renamed voice keeps its engine.
        reusable = {engine.revision: engine for engine in self._engines.values() if engine.threads == config.threads}
        engines: dict[str, Engine] = {}
        for voice in config.voices:
            engine = reusable.get(voice.revision)
            if engine is None:
                engine = self._graphs.open_engine(self._cache.fetch(voice), config.threads)
                logger.info("loaded voice %s revision %s from %s", voice.name, voice.revision, voice.uri)
            engines[voice.name] = engine
        return MappingProxyType(engines)

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
        return name or self._default

    @asynccontextmanager
    async def use(self, name: str | None) -> AsyncIterator[tuple[str, Engine]]:
        """Return a voice, once there are any.

        Parameters
        ----------
        name : str or None
            Name of a voice; None is the default voice.

        Yields
        ------
        tuple of str and Engine
            The name of the voice and its engine, which stays loaded as long as it is referred to.

        Raises
        ------
        UnknownVoiceError
            If there is no such voice.
        KubeVoiceError
            If no voice could be loaded.
        """
        if not self._engines and self._loading:
            await asyncio.wait({self._loading})
        if not self._engines:
            raise KubeVoiceError(f"no voice is loaded: {self._error}")
        name = self.resolve(name)
        if name not in self._engines:
            raise UnknownVoiceError(name, self._engines)
        yield name, self._engines[name]

    def describe(self) -> tuple[VoiceInfo, ...]:
        """Describe the loaded voices.

        Returns
        -------
        tuple of VoiceInfo
            The voices in the order of the configuration; empty before any is loaded.
        """
        return tuple(
            describe_voice(name, engine.revision, engine.manifest, VoiceState.LOADED, default=name == self._default)
            for name, engine in self._engines.items()
        )

    def get_state(self, replica: str) -> ReplicaState:
        """Report what is loaded.

        Parameters
        ----------
        replica : str
            Name of the replica.

        Returns
        -------
        ReplicaState
            The loaded revisions, those being loaded, and why the last configuration failed.
        """
        loading = self._loading is not None and not self._loading.done()
        return ReplicaState(
            replica=replica,
            voices={name: engine.revision for name, engine in self._engines.items()},
            default=self._default,
            loading=self._target if loading else {},
            error=self._error,
        )
