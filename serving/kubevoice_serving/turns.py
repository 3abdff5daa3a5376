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


class Turns:
    """The thread, and those it speaks for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._listeners: list[_Listener[Any]] = []
        threading.Thread(target=self._run, name="speak", daemon=True).start()

    @property
    def full(self) -> bool:
        """Whether there is more to do than this replica can: somebody's audio runs out, or too many wait for theirs."""
        soon = time.monotonic() + MARGIN_SECONDS
        with self._changed:
            streams = [each for each in self._listeners if not each.whole]
        waiting = sum(not each.heard for each in streams)
        return waiting >= NEWCOMERS or any(each.heard and each.due < soon for each in streams)

    async def of(
        self, work: Iterator[T], seconds: Callable[[T], float], *, lead: float = 0.0, whole: bool = False
    ) -> AsyncGenerator[T, None]:
        """Yield what `work` yields, made when it is its turn; `seconds` tells how long one hears a piece.

        The first is due in `lead` seconds, until when the listener hears what came before. With `whole` nothing is
        heard before all is there, which is due then. Raises what `work` raises. Leaving ends the work.
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
                listener = min(self._listeners, key=lambda each: each.due)
            self._take(listener)

    def _take(self, listener: _Listener[Any]) -> None:
        """Make one piece for a listener, or let it go."""
        try:
            if listener.left:
                raise StopIteration  # noqa: TRY301  # an end like any other
            piece = next(listener.work)
        except BaseException as end:  # noqa: BLE001  # it is the listener's to handle
            with self._changed:
                self._listeners.remove(listener)
            listener.tell(None, end)
            return
        if not listener.whole:
            start = listener.due if listener.heard else max(listener.due, time.monotonic())
            listener.due = start + listener.seconds(piece)
            listener.heard = True
        listener.tell(piece, None)
