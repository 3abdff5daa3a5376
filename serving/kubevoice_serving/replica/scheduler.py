"""Whose turn it is: one thread speaks for all listeners of a replica, a piece at a time.

Two sentences at once on one core would only make both late. The listener whose audio runs out first goes first
(earliest deadline first, Liu and Layland 1973), so that newcomers hear something soon and nobody's audio stops before
there is really too much to do.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Turns"]

T = TypeVar("T")
MARGIN_SECONDS = 0.1
"""Audio that lasts no longer is as good as out: it is about as much as another's piece takes to make."""
NEWCOMERS = 16
"""Streams that may wait for their first piece: even the last of them is to hear something within half a second."""
SHARE = 0.8
"""Of the thread's time, what streams may need together to be heard without a gap."""
MEMORY = 0.95
"""What an earlier piece counts for, beside the one after it, in what a second of audio costs."""
URGENT_SECONDS = 0.3
"""Whose audio runs out within this time goes before any answer that is made whole, however late that is."""


@dataclass(slots=True, eq=False)
class _Listener(Generic[T]):
    work: Iterator[T]
    seconds: Callable[[T], float]
    tell: Callable[[T | None, BaseException | None], None]
    due: float
    """When it has heard everything that was made for it, on the clock of time.monotonic."""
    whole: bool
    heard: bool = False
    left: bool = False

    def urgency(self, now: float) -> tuple[float, float]:
        """Sort by this: the least goes first."""
        return (max(self.due, now + URGENT_SECONDS) if self.whole else self.due), self.due


class Turns:
    """The thread, and those it speaks for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._listeners: list[_Listener[Any]] = []
        self._spent = self._spoken = 0.0
        """Seconds that lately were worked, and that were spoken for them."""
        threading.Thread(target=self._run, name="speak", daemon=True).start()

    @property
    def full(self) -> bool:
        """Whether one more stream is too much.

        The thread could not speak for all as fast as they listen, somebody's audio runs out as it is, or too many have
        just come.
        """
        now = time.monotonic()
        with self._changed:
            streams = [each for each in self._listeners if not each.whole]
            slow = (len(streams) + 1) * self._spent > SHARE * self._spoken
        if not streams:
            return False
        waiting = sum(not each.heard and each.due <= now for each in streams)  # not who still hears what came before
        out = any(each.heard and each.due < now + MARGIN_SECONDS for each in streams)
        return slow or out or waiting >= NEWCOMERS

    async def of(
        self, work: Iterator[T], seconds: Callable[[T], float], *, lead: float = 0.0, whole: bool = False
    ) -> AsyncGenerator[T, None]:
        """Yield what `work` yields, made when it is its turn; `seconds` tells how long one hears a piece.

        A piece of no seconds is not heard; it is where others may go first. The first is due in `lead` seconds, until
        when the listener hears what came before. With `whole` nothing is heard before all is there, which is due then.
        Raises what `work` raises. Leaving ends the work.
        """
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[tuple[T | None, BaseException | None]]()

        def tell(piece: T | None, end: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nobody waits
                loop.call_soon_threadsafe(pieces.put_nowait, (piece, end))

        listener = _Listener(work, seconds, tell, time.monotonic() + lead, whole)
        with self._changed:
            self._listeners.append(listener)
            self._changed.notify()
        try:
            while True:
                piece, end = await pieces.get()
                if isinstance(end, StopIteration):
                    return
                if end is not None:
                    raise end
                yield piece  # type: ignore[misc]  # without an end there is a piece
        finally:
            listener.left = True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._listeners)
                now = time.monotonic()
                listener = min(self._listeners, key=lambda each: each.urgency(now))
            self._take(listener)

    def _take(self, listener: _Listener[Any]) -> None:
        """Make one piece for a listener, or let it go."""
        try:
            if listener.left:
                raise StopIteration  # noqa: TRY301  # an end like any other
            began = time.monotonic()
            piece = next(listener.work)
        except BaseException as end:  # noqa: BLE001  # it is the listener's to handle
            with self._changed:
                self._listeners.remove(listener)
            listener.tell(None, end)
            return
        now, seconds = time.monotonic(), listener.seconds(piece)
        with self._changed:
            self._spent = MEMORY * self._spent + now - began
            self._spoken = MEMORY * self._spoken + seconds
        if seconds and not listener.whole:
            listener.due = (listener.due if listener.heard else max(listener.due, now)) + seconds
            listener.heard = True
        listener.tell(piece, None)
