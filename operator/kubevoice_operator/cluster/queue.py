"""A queue of keys: each is worked on by one worker at a time, and what comes meanwhile is done once more after."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["WorkQueue"]

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys that wait; adding one that waits already changes nothing, unless it is due sooner."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._busy: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, tuple[float, asyncio.TimerHandle]] = {}
        self._rests = asyncio.Event()
        self._rests.set()
        self._clock = clock or asyncio.get_running_loop().time

    def __len__(self) -> int:
        """Return how many keys are due."""
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Let `key` be worked on as soon as a worker is free."""
        self.cancel(key)
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._rests.clear()
            self._ready.put_nowait(key)

    def add_later(self, key: K, seconds: float) -> None:
        """Let `key` be worked on in `seconds`, or sooner if it is due sooner already."""
        due = self._clock() + seconds
        known = self._timers.get(key)
        if known is not None and known[0] <= due:
            return
        self.cancel(key)
        self._timers[key] = (due, asyncio.get_running_loop().call_later(seconds, self.add, key))

    def cancel(self, key: K) -> None:
        """Forget when `key` was to be worked on later."""
        if (known := self._timers.pop(key, None)) is not None:
            known[1].cancel()

    async def rest(self) -> None:
        """Wait until no key is due and none is worked on."""
        await self._rests.wait()

    async def work(self, handle: Callable[[K], Awaitable[None]]) -> None:
        """Work for ever; run several of these for several workers. `handle` must not raise."""
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._busy.add(key)
            try:
                await handle(key)
            finally:
                self._busy.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)
                if not self._waiting and not self._busy:
                    self._rests.set()
