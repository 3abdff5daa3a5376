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
        """Due keys in their order. Filled by `add`, emptied by workers."""
        self._waiting: set[K] = set()
        """The same keys, so that `add` puts none in twice. A worker removes a key before it handles it."""
        self._busy: set[K] = set()
        """Keys that a worker handles now. Set and cleared by `run_worker`."""
        self._dirty: set[K] = set()
        """Busy keys that were added meanwhile. The worker may have read the cache before what changed, so it enqueues
        them once more when it is done."""
        self._timers: dict[K, tuple[float, asyncio.TimerHandle]] = {}
        """Delayed keys: when each is due by the clock, and its timer. Set by `add_later`, cleared by `cancel` and, when
        the timer fires, by `add`."""
        self._idle = asyncio.Event()
        """Set while no key is due or busy. Cleared by `add`, set by the worker that finishes last."""
        self._idle.set()
        self._clock = clock or asyncio.get_running_loop().time

    def __len__(self) -> int:
        """Return how many keys are due."""
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Enqueue `key`, to be handled as soon as a worker is free.

        Parameters
        ----------
        key
            What to handle.
        """
        self.cancel(key)
        if key in self._busy:
            self._dirty.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._idle.clear()
            self._ready.put_nowait(key)

    def add_later(self, key: K, seconds: float) -> None:
        """Enqueue `key` after `seconds`, unless it is due sooner already.

        Parameters
        ----------
        key
            What to handle.
        seconds
            How long to wait.
        """
        due = self._clock() + seconds
        timer = self._timers.get(key)
        if timer is not None and timer[0] <= due:
            return
        self.cancel(key)
        self._timers[key] = (due, asyncio.get_running_loop().call_later(seconds, self.add, key))

    def cancel(self, key: K) -> None:
        """Cancel the delayed enqueueing of `key`.

        Parameters
        ----------
        key
            What not to handle later.
        """
        if (timer := self._timers.pop(key, None)) is not None:
            timer[1].cancel()

    async def wait_idle(self) -> None:
        """Wait until no key is due and no worker is busy."""
        await self._idle.wait()

    async def run_worker(self, handle: Callable[[K], Awaitable[None]]) -> None:
        """Handle keys until cancelled. Start one task of it for each worker; `handle` must not raise.

        Parameters
        ----------
        handle
            Handles one key; never runs twice at the same time for the same key.
        """
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
