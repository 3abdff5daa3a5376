"""Single flight: equal computations at the same time are made once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["SingleFlight"]


@dataclass(slots=True)
class _Flight:
    """One computation, and how many callers wait for it."""

    task: "asyncio.Task[object]"
    waiting: int = 0


class SingleFlight:
    """Computes equal requests at the same time only once, as Go's package `singleflight` does."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}
        """Computations in progress by key; `do` adds and removes."""

    async def do(self, key: str, compute: Callable[[], Awaitable[object]]) -> object:
        """Return what `compute` returns, or what the computation in progress under `key` will return.

        Parameters
        ----------
        key : str
            Equal keys share a computation.
        compute : callable
            Starts the computation; called only if none is in progress.

        Returns
        -------
        object
            What the computation returned.

        Raises
        ------
        Exception
            Whatever the computation raises, in every caller that waits for it.

        Notes
        -----
        The computation is cancelled when no caller waits for it any more.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(compute()))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.task.done() or not flight.waiting:
                flight.task.cancel()
                if self._flights.get(key) is flight:
                    del self._flights[key]
