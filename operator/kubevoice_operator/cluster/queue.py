"""A work queue of keys, as in client-go: a key is handled by one worker at a time, and once more if added meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["WorkQueue"]

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys waiting for workers. Adding a key that already waits changes nothing, unless it is due sooner."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._busy: set[K] = set()
        self._dirty: set[K] = set()
        self._timers: dict[K, tuple[float, asyncio.TimerHandle]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._clock = clock or asyncio.get_running_loop().time

    def __len__(self) -> int:
        """Return how many keys are due."""
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Enqueue `key`, to be handled as soon as a worker is free."""
        self.cancel(key)
        if key in self._busy:
            self._dirty.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._idle.clear()
            self._ready.put_nowait(key)

    def add_later(self, key: K, seconds: float) -> None:
        """Enqueue `key` after `seconds`, unless it is due sooner already."""
        due = self._clock() + seconds
        known = self._timers.get(key)
        if known is not None and known[0] <= due:
            return
        self.cancel(key)
        self._timers[key] = (due, asyncio.get_running_loop().call_later(seconds, self.add, key))

    def cancel(self, key: K) -> None:
        """Cancel the delayed enqueueing of `key`."""
        if (known := self._timers.pop(key, None)) is not None:
            known[1].cancel()

    async def wait_idle(self) -> None:
        """Wait until no key is due and no worker is busy."""
        await self._idle.wait()

    async def run_worker(self, handle: Callable[[K], Awaitable[None]]) -> None:
        """Handle keys until cancelled. Start one task of it for each worker; `handle` must not raise."""
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._busy.add(key)
            try:
                await handle(key)
            finally:
                self._busy.discard(key)
                if key in self._dirty:
                    self._dirty.discard(key)
                    self.add(key)
                if not self._waiting and not self._busy:
                    self._idle.set()
