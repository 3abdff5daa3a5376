"""The engines in memory: loading, pinning and unloading them within a budget."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from kubevoice.engine import Engine
from kubevoice.errors import KubeVoiceError
from kubevoice.resources.data_plane import VoiceConfig

from kubevoice_serving.domain import AtCapacityError
from kubevoice_serving.replica.bundle_cache import BundleCache
from kubevoice_serving.replica.graph_store import GraphCosts, GraphStore, measure_graphs, trim_memory
from kubevoice_serving.replica.mapped_graphs import MappedGraphs
from kubevoice_serving.replica.residents import ResidentSet

__all__ = ["EngineKey", "ResidentEngines"]

T = TypeVar("T")

LOADERS = 8
"""Threads that fetch and open bundles. A storage that does not answer holds one for each voice that is asked for."""
ROOM_SECONDS = 5.0
"""How long a load waits for memory while all loaded voices compute."""


class EngineKey(NamedTuple):
    """What makes two engines the same."""

    revision: str
    threads: int


class ResidentEngines:
    """Engines by revision. All methods run in the event loop; files are read and engines opened in threads.

    Parameters
    ----------
    cache : BundleCache
        Fetches the bundles.
    is_kept : callable
        Whether an engine is never unloaded.
    on_evicted : callable
        Called with the engines that were unloaded because another one needed the room.
    """

    def __init__(
        self,
        cache: BundleCache,
        is_kept: Callable[[EngineKey], bool],
        on_evicted: Callable[[Collection[EngineKey]], None],
    ) -> None:
        self._cache, self._is_kept, self._on_evicted = cache, is_kept, on_evicted
        self._graphs = GraphStore(MappedGraphs(cache.folder / "graphs"))
        self._residents: ResidentSet[EngineKey, Engine] = ResidentSet(0)
        self._pins: Counter[EngineKey] = Counter()
        """Requests that use an engine or wait for it; `pin` adds and removes."""
        self._loads: dict[EngineKey, asyncio.Task[Engine]] = {}
        """Loads in progress; `load` adds, each removes itself."""
        self._freed = asyncio.Event()
        """Set and replaced when an engine is no longer used."""
        self._threads = ThreadPoolExecutor(LOADERS, "load-voice")

    @property
    def budget(self) -> int:
        """Bytes that the engines may be accounted for."""
        return self._residents.budget

    @property
    def memory_bytes(self) -> int:
        """Bytes that the engines are accounted for, those that are being opened included."""
        return self._residents.memory_bytes

    def get(self, key: EngineKey) -> Engine | None:
        """Return an engine.

        Parameters
        ----------
        key : EngineKey
            Its key.

        Returns
        -------
        Engine or None
            None if it is not loaded.
        """
        return self._residents.get(key)

    def is_loading(self, key: EngineKey) -> bool:
        """Return whether an engine is being loaded.

        Parameters
        ----------
        key : EngineKey
            Its key.

        Returns
        -------
        bool
            Whether it is.
        """
        return key in self._loads

    @contextmanager
    def pin(self, key: EngineKey) -> Iterator[None]:
        """Keep an engine from being unloaded until the end of the block. It need not be loaded yet.

        Parameters
        ----------
        key : EngineKey
            Its key.
        """
        self._pins[key] += 1
        try:
            yield
        finally:
            self._pins[key] -= 1
            self._pins += Counter()  # drops those without requests
            self._residents.touch(key, time.monotonic())
            self._freed.set()
            self._freed = asyncio.Event()

    def load(self, key: EngineKey, voice: VoiceConfig, *, warm_up: bool) -> "asyncio.Future[Engine]":
        """Load an engine. All who wait for it share one load, which goes on if one of them leaves.

        Parameters
        ----------
        key : EngineKey
            Its key.
        voice : VoiceConfig
            Where its bundle is.
        warm_up : bool
            Whether it synthesizes once before it is used; a request that waits for it would wait longer.

        Returns
        -------
        asyncio.Future of Engine
            The engine. It raises AtCapacityError if there is no room, and KubeVoiceError if it cannot be loaded.
        """
        load = self._loads.get(key)
        if load is None:
            load = self._loads[key] = asyncio.create_task(self._load(key, voice, warm_up=warm_up))
            load.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps nobody waits for it
        return asyncio.shield(load)

    async def _load(self, key: EngineKey, voice: VoiceConfig, *, warm_up: bool) -> Engine:
        try:
            bundle = await self._run(lambda: self._cache.fetch(voice))
            await self._reserve(key, measure_graphs(bundle), voice)
            try:
                engine = await self._run(lambda: self._graphs.open_engine(bundle, key.threads, warm_up=warm_up))
            except BaseException:
                self._residents.remove(key)
                raise
            self._residents.fill(key, engine, time.monotonic())
            return engine
        finally:
            del self._loads[key]

    async def _reserve(self, key: EngineKey, graphs: GraphCosts, voice: VoiceConfig) -> None:
        """Unload what is needed for an engine, or wait until something may be unloaded."""
        if not self._residents.could_fit(graphs, self._is_kept):
            raise KubeVoiceError(
                f"voice {voice.name} needs {sum(graphs.values()) >> 20} MiB, which the memory for voices of "
                f"{self.budget >> 20} MiB does not have beside the voices that are kept; enlarge memoryMegabytes"
            )
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                while (removed := self._residents.reserve(key, graphs, time.monotonic(), self._is_pinned)) is None:
                    await self._freed.wait()
        except TimeoutError:
            raise AtCapacityError(
                f"there is no memory for voice {voice.name}, because all loaded voices compute; more replicas or more "
                "memoryMegabytes would help"
            ) from None
        if removed:
            self._on_evicted(removed)
            await self._run(trim_memory)

    async def fit(self, budget: int) -> None:
        """Unload the least recently used engines until the rest fits, as far as they may be unloaded.

        Parameters
        ----------
        budget : int
            Bytes that the engines may be accounted for from now on.
        """
        self._residents.budget = budget
        if removed := self._residents.make_room({}, self._is_pinned):
            self._on_evicted(removed)
            await self._run(trim_memory)

    async def unload(self, should_unload: Callable[[EngineKey, float], bool]) -> None:
        """Unload engines that no request uses.

        Parameters
        ----------
        should_unload : callable
            Called with each key, and the seconds since the engine was last used.
        """
        now = time.monotonic()
        idle = [key for key in self._residents.keys if not self._pins[key]]
        removed = [key for key in idle if should_unload(key, now - self._residents.last_use(key))]
        for key in removed:
            self._residents.remove(key)
        if removed:
            await self._run(trim_memory)

    def _is_pinned(self, key: EngineKey) -> bool:
        return self._pins[key] > 0 or self._is_kept(key)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Stop loading engines."""
        for load in self._loads.values():
            load.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
