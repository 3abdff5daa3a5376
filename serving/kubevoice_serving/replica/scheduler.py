"""The scheduler of a replica: one thread computes for all listeners, one chunk at a time, earliest deadline first.

Computing two sentences at once on one core would delay both. So the chunk of the listener whose audio runs out first is
computed first (earliest deadline first; C. L. Liu and J. W. Layland, "Scheduling Algorithms for Multiprogramming in a
Hard-Real-Time Environment", Journal of the ACM 20(1), 1973, section 7). New listeners get audio soon, and no
playback is interrupted before the replica is at capacity.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["DeadlineScheduler"]

T = TypeVar("T")
MARGIN_SECONDS = 0.1
"""Audio that lasts no longer than this counts as run out: another listener's chunk takes about as long to compute."""
MAX_PENDING = 16
"""Streams that may wait for their first chunk, chosen so that the last of them waits half a second at most."""
MAX_UTILIZATION = 0.8
"""Largest share of the thread's time that streams may need together."""
EMA_DECAY = 0.95
"""Weight of earlier chunks, beside the newest one, in the measured cost of a second of audio."""
URGENT_SECONDS = 0.3
"""A stream whose audio runs out within this time goes before any complete result, however overdue that is."""


@dataclass(slots=True, eq=False)
class _Task(Generic[T]):
    """The work for one listener."""

    work: Iterator[T]
    measure_seconds: Callable[[T], float]
    callback: Callable[[T | None, BaseException | None], None]
    """Called by the thread with each chunk, and at the end with the exception that ended the work."""
    deadline: float
    """When the listener has played all chunks so far, on the clock of time.monotonic; moved on by the thread."""
    streaming: bool
    """Whether the listener plays each chunk at once; if not, the audio is sent when it is complete."""
    started: bool = False
    """Whether the listener has been given something to play; set by the thread."""
    cancelled: bool = False
    """Whether the listener has left; set by `submit`, read by the thread before its next chunk."""

    def priority(self, now: float) -> tuple[float, float]:
        """Return the sort key at `now`: the least goes first."""
        return (max(self.deadline, now + URGENT_SECONDS) if not self.streaming else self.deadline), self.deadline


class DeadlineScheduler:
    """A thread and its tasks. Each listener submits an iterator, whose items the thread computes in deadline order."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        """Guards the fields below, and wakes the thread when a task is added."""
        self._tasks: list[_Task[Any]] = []
        """Tasks whose work has not ended; `submit` adds, the thread removes."""
        self._work_seconds = self._audio_seconds = 0.0
        """Decaying sums of the time spent on chunks and of the audio in them; written by the thread, never reset."""
        threading.Thread(target=self._run_forever, name="synthesis", daemon=True).start()

    @property
    def at_capacity(self) -> bool:
        """Whether the replica cannot take one more stream.

        It cannot if the thread could not compute all streams in real time, if the audio of a listener is running out,
        or if too many streams wait for their first chunk. Without a stream it can always take one.
        """
        now = time.monotonic()
        with self._changed:
            streams = [task for task in self._tasks if task.streaming]
            too_slow = (len(streams) + 1) * self._work_seconds > MAX_UTILIZATION * self._audio_seconds
        if not streams:
            return False
        # A stream that continues a speech has a deadline in the future: its listener still plays what came before.
        pending = sum(not task.started and task.deadline <= now for task in streams)
        running_out = any(task.started and task.deadline < now + MARGIN_SECONDS for task in streams)
        return too_slow or running_out or pending >= MAX_PENDING

    async def submit(
        self, work: Iterator[T], measure_seconds: Callable[[T], float], *, due_in: float = 0.0, streaming: bool = True
    ) -> AsyncGenerator[T, None]:
        """Have `work` computed on the thread and yield its items as they are made.

        Parameters
        ----------
        work : iterator
            Its items are computed one at a time; between two items other listeners may go first.
        measure_seconds : callable
            Returns how many seconds the listener plays an item. An item of 0 s only lets others go first.
        due_in : float
            Seconds until the first item is due: the length of the audio that the listener still has to play. Without
            `streaming`, seconds until everything is due.
        streaming : bool
            Whether the listener plays each item at once, so that the deadline moves on by the item's length. If not,
            the deadline stays where it is.

        Yields
        ------
        T
            The items of `work`, in order.

        Raises
        ------
        Exception
            Whatever `work` raises.

        Notes
        -----
        Closing the generator cancels the work after the item that is being computed.
        """
        loop, items = asyncio.get_running_loop(), asyncio.Queue[tuple[T | None, BaseException | None]]()

        def callback(item: T | None, end: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop is closed, so no task waits
                loop.call_soon_threadsafe(items.put_nowait, (item, end))

        task = _Task(work, measure_seconds, callback, time.monotonic() + due_in, streaming)
        with self._changed:
            self._tasks.append(task)
            self._changed.notify()
        try:
            while True:
                item, end = await items.get()
                if isinstance(end, StopIteration):
                    return
                if end is not None:
                    raise end
                yield item  # type: ignore[misc]  # without an end there is an item
        finally:
            task.cancelled = True

    def _run_forever(self) -> None:
        """Compute the next item of the most urgent task, for ever."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks)
                now = time.monotonic()
                task = min(self._tasks, key=lambda each: each.priority(now))
            self._run_next(task)

    def _run_next(self, task: _Task[Any]) -> None:
        """Compute one item of a task and move its deadline on, or remove the task if its work has ended."""
        try:
            if task.cancelled:
                raise StopIteration  # noqa: TRY301  # an end like any other
            started = time.monotonic()
            item = next(task.work)
        except BaseException as end:  # noqa: BLE001  # it is the listener's to handle
            with self._changed:
                self._tasks.remove(task)
            task.callback(None, end)
            return
        now, seconds = time.monotonic(), task.measure_seconds(item)
        with self._changed:
            self._work_seconds = EMA_DECAY * self._work_seconds + now - started
            self._audio_seconds = EMA_DECAY * self._audio_seconds + seconds
        if seconds and task.streaming:
            task.deadline = (task.deadline if task.started else max(task.deadline, now)) + seconds
            task.started = True
        task.callback(item, None)
