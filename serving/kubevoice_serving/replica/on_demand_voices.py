"""Voices that are loaded at their first request, within a memory budget.

Every voice is independent of the others: one that cannot be loaded fails its own requests alone, and a configuration
touches only the voices that it changes. A voice that computes is never unloaded; of the others the least recently used
one leaves first.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

from kubevoice.engine import Engine
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import ReplicaState, ResidencyConfig, SynthesizerConfig, VoiceConfig
from kubevoice.voice import VoiceManifest

from kubevoice_serving.domain import AtCapacityError, UnavailableError, VoiceInfo
from kubevoice_serving.replica.bundle_cache import BundleCache
from kubevoice_serving.replica.residency_report import LoadCounts, VoiceReport, describe_report, report_state
from kubevoice_serving.replica.resident_engines import EngineKey, ResidentEngines
from kubevoice_serving.replica.voice_failures import VoiceFailures, describe_failure
from kubevoice_serving.unknown_voice import UnknownVoiceError

__all__ = ["OnDemandVoices"]

logger = logging.getLogger(__name__)

READERS = 4
"""Threads that read manifests, apart from those that load voices: a request must not wait for hundreds of them."""
KEPT_SECONDS, MAINTENANCE_SECONDS = 30.0, 1.0
"""How long a replica waits for kept voices before it takes requests, which wait for the rest themselves; and the time
between two looks for idle voices and for voices to try again."""


class OnDemandVoices:
    """A `VoiceSource` that loads a voice for a request, and unloads it when it is idle or others need its room.

    Parameters
    ----------
    cache : BundleCache
        Fetches the bundles.
    """

    def __init__(self, cache: BundleCache) -> None:
        self._cache = cache
        self._config: SynthesizerConfig | None = None
        self._residency = ResidencyConfig(memory_megabytes=1, idle_seconds=1)
        self._voices: dict[str, VoiceConfig] = {}
        """The voices of `_config` by name; all three are replaced by `configure`."""
        self._error: str | None = None
        """Why the last configuration is not valid; cleared by `configure`."""
        self._engines = ResidentEngines(cache, self._is_kept, self._count_evictions)
        self._answering: dict[str, EngineKey] = {}
        """The engine that was loaded last for each voice, which may have been unloaded since. One of an old revision
        answers until the new one is loaded."""
        self._manifests: dict[str, VoiceManifest] = {}
        """Manifests that were read, by revision."""
        self._reads: dict[str, asyncio.Task[None]] = {}
        """Manifests that are being read, by voice."""
        self._readers = ThreadPoolExecutor(READERS, "read-voice")
        self._failures, self._counts = VoiceFailures(), LoadCounts()
        self._tasks: set[asyncio.Task[object]] = set()
        """Loads in the background, and the maintenance."""

    async def configure(self, config: SynthesizerConfig) -> None:
        """Take a configuration. Voices that it does not change are not touched.

        Parameters
        ----------
        config : SynthesizerConfig
            The voices, with `residency`. The first one's kept voices are loaded before this returns, unless that takes
            long.
        """
        assert config.residency  # noqa: S101  # or the voices would be preloaded
        first, old = self._config is None, self._voices
        self._config, self._residency, self._error = config, config.residency, None
        self._voices = {voice.name: voice for voice in config.voices}
        self._failures.forget([name for name, voice in old.items() if self._voices.get(name) != voice])
        for name in old.keys() - self._voices.keys():
            self._answering.pop(name, None)
        revisions = {voice.revision for voice in config.voices}
        self._manifests = {one: manifest for one, manifest in self._manifests.items() if one in revisions}
        await self._engines.fit(config.residency.memory_megabytes << 20)
        loads = self._start_background_work()
        if first:
            self._start(self._maintain())
            if loads:
                await asyncio.wait(loads, timeout=KEPT_SECONDS)

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
        self._error = str(error)
        return self._config is not None

    async def close(self) -> None:
        """Stop loading voices."""
        for task in (*self._tasks, *self._reads.values()):
            task.cancel()
        self._engines.close()
        self._readers.shutdown(wait=False, cancel_futures=True)

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
        return name or (self._config.default_name if self._config else "")

    @asynccontextmanager
    async def use(self, name: str | None) -> AsyncIterator[tuple[str, Engine]]:
        """Return a voice, loaded if it is not, which stays loaded until the end of the block.

        Parameters
        ----------
        name : str or None
            Name of a voice; None is the default voice.

        Yields
        ------
        tuple of str and Engine
            The name of the voice and its engine.

        Raises
        ------
        UnknownVoiceError
            If there is no such voice.
        AtCapacityError
            If all loaded voices compute and there is no memory for this one.
        UnavailableError
            If it cannot be loaded; it is tried again later.
        """
        name = self.resolve(name)
        voice = self._voices.get(name)
        if voice is None:
            raise UnknownVoiceError(name, self._voices)
        key = self._find_loaded(voice) or self._make_key(voice)
        with self._engines.pin(key):
            yield name, self._engines.get(key) or await self._load(voice, warm_up=False)

    def describe(self) -> tuple[VoiceInfo, ...]:
        """Describe all voices without loading any.

        Returns
        -------
        tuple of VoiceInfo
            The voices in the order of the configuration; those whose manifest was not read have a name and a revision.
        """
        return tuple(describe_report(report, self.resolve(None)) for report in self._collect_reports())

    def get_state(self, replica: str) -> ReplicaState:
        """Report what is loaded, what is being loaded, and what cannot be.

        Parameters
        ----------
        replica : str
            Name of the replica.

        Returns
        -------
        ReplicaState
            The state.
        """
        used, budget = self._engines.memory_bytes, self._engines.budget
        state = report_state(replica, self._collect_reports(), used, budget, self._counts)
        return state.model_copy(update={"default": self.resolve(None), "error": self._error})

    def _collect_reports(self) -> list[VoiceReport]:
        failures = self._failures.messages
        return [
            VoiceReport(
                voice,
                loaded=loaded.revision if (loaded := self._find_loaded(voice)) else None,
                loading=self._engines.is_loading(self._make_key(voice)),
                manifest=self._manifests.get(voice.revision),
                failure=None if self._engines.get(self._make_key(voice)) else failures.get(voice.name),
            )
            for voice in self._voices.values()
        ]

    def _make_key(self, voice: VoiceConfig) -> EngineKey:
        return EngineKey(voice.revision, self._config.threads if self._config else 1)

    def _find_loaded(self, voice: VoiceConfig) -> EngineKey | None:
        """Return the engine that answers now: the configured one or, until that is loaded, the one before."""
        for key in (self._make_key(voice), self._answering.get(voice.name)):
            if key and self._engines.get(key):
                return key
        return None

    def _is_kept(self, key: EngineKey) -> bool:
        kept = (voice for name in self._residency.keep if (voice := self._voices.get(name)))
        return any(key in (self._make_key(voice), self._find_loaded(voice)) for voice in kept)

    async def _load(self, voice: VoiceConfig, *, warm_up: bool) -> Engine:
        """Load the configured revision of a voice, unless that failed a short time ago."""
        began = time.monotonic()
        if wait := self._failures.wait_seconds(voice.name, began):
            raise UnavailableError(self._failures.messages[voice.name], wait)
        key = self._make_key(voice)
        is_first = not self._engines.is_loading(key)
        try:
            engine = await self._engines.load(key, voice, warm_up=warm_up)
        except Exception as error:  # whatever it is, it concerns this voice alone
            if isinstance(error, AtCapacityError):
                raise
            raise self._note_failure(voice, error) from None
        if is_first:
            self._counts.add_load(voice.name, time.monotonic() - began)
            logger.info("loaded voice %s revision %s from %s", voice.name, voice.revision, voice.uri)
        if voice.name in self._voices:
            self._answering[voice.name] = key
        self._manifests[voice.revision] = engine.manifest
        self._failures.forget([voice.name])
        return engine

    def _note_failure(self, voice: VoiceConfig, error: Exception) -> UnavailableError:
        message, now = f"voice {voice.name} cannot be loaded: {describe_failure(error)}", time.monotonic()
        if not self._failures.wait_seconds(voice.name, now):  # several requests may have waited for one load
            logger.warning("%s", message)
            self._failures.add(voice.name, message, now)
        return UnavailableError(message, self._failures.wait_seconds(voice.name, now))

    def _count_evictions(self, keys: Collection[EngineKey]) -> None:
        self._counts.add_evictions(name for name, key in self._answering.items() if key in keys)

    def _start_background_work(self) -> list[asyncio.Task[object]]:
        """Load what is kept, and new revisions of loaded voices; read the manifests of others. Return the loads."""
        loads, now = [], time.monotonic()
        for voice in self._voices.values():
            key = self._make_key(voice)
            if self._engines.get(key) or self._failures.wait_seconds(voice.name, now):
                continue
            if voice.name in self._residency.keep or self._find_loaded(voice):
                if not self._engines.is_loading(key):
                    loads.append(self._start(self._load_in_background(voice)))
            elif voice.revision not in self._manifests and voice.name not in self._reads:
                self._reads[voice.name] = asyncio.create_task(self._read_manifest(voice))
        return loads

    def _start(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _load_in_background(self, voice: VoiceConfig) -> None:
        with suppress(AtCapacityError, UnavailableError):  # the maintenance tries again
            await self._load(voice, warm_up=True)

    async def _read_manifest(self, voice: VoiceConfig) -> None:
        try:
            loop = asyncio.get_running_loop()
            manifest = await loop.run_in_executor(self._readers, self._cache.read_manifest, voice)
        except Exception as error:  # noqa: BLE001  # it is reported, and tried again
            if self._voices.get(voice.name) == voice:
                self._note_failure(voice, error)
        else:
            self._manifests[voice.revision] = manifest
            if not self._engines.is_loading(self._make_key(voice)):
                self._failures.forget([voice.name])
        finally:
            del self._reads[voice.name]

    async def _maintain(self) -> None:
        """Unload idle voices and those of old configurations, and try again what failed, for ever."""
        while True:
            await asyncio.sleep(min(MAINTENANCE_SECONDS, self._residency.idle_seconds))
            await self._engines.unload(self._should_unload)
            await self._engines.fit(self._engines.budget)
            self._start_background_work()

    def _should_unload(self, key: EngineKey, idle_seconds: float) -> bool:
        if self._is_kept(key):
            return False
        if any(self._make_key(voice) == key for voice in self._voices.values()):
            return idle_seconds > self._residency.idle_seconds
        return all(self._find_loaded(voice) != key for voice in self._voices.values())  # else the new one is not loaded
