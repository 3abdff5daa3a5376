"""Limits of each voice, so that a flood of one does not delay the others."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kubevoice.resources.data_plane import VoiceConfig

from kubevoice_serving.domain import AtCapacityError

__all__ = ["VoiceLimits"]


@dataclass(slots=True)
class _Load:
    """The requests of one voice."""

    running: int = 0
    waiting: deque["asyncio.Future[None]"] = field(default_factory=deque)
    """Requests in the order of their arrival; each is woken when it may run."""


class VoiceLimits:
    """Admits at most `max_streams` requests of a voice at once; `max_queued` more wait, first come first served."""

    def __init__(self) -> None:
        self._limits: dict[str, VoiceConfig] = {}
        """The voices that have limits; set by `configure`."""
        self._loads: dict[str, _Load] = {}
        """Voices with requests; `admit` adds and removes."""

    def configure(self, voices: Iterable[VoiceConfig]) -> None:
        """Set the limits, which hold from the next request on.

        Parameters
        ----------
        voices : iterable of VoiceConfig
            All voices.
        """
        self._limits = {voice.name: voice for voice in voices if voice.max_streams is not None}

    @asynccontextmanager
    async def admit(self, name: str, *, continues: bool = False) -> AsyncIterator[None]:
        """Wait until a request of a voice may be computed, and count it until the end of the block.

        Parameters
        ----------
        name : str
            The voice.
        continues : bool
            Whether the request continues a speech: that runs at once, or its listener would hear a gap.

        Raises
        ------
        AtCapacityError
            If as many requests of the voice wait as may.
        """
        load = self._loads.setdefault(name, _Load())
        limit = self._limits.get(name)
        if limit and limit.max_streams is not None and load.running >= limit.max_streams and not continues:
            if limit.max_queued is not None and len(load.waiting) >= limit.max_queued:
                raise AtCapacityError(
                    f"voice {name} has {load.running} requests in this replica and {len(load.waiting)} waiting, "
                    "as many as it may"
                )
            await self._wait(name, load)
        else:
            load.running += 1
        try:
            yield
        finally:
            load.running -= 1
            self._wake(name, load)

    async def _wait(self, name: str, load: _Load) -> None:
        """Wait for a place. Whoever frees it counts it for us, so that no other request takes it in between."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        load.waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place in load.waiting:
                load.waiting.remove(place)
            else:  # the place was given to us, and we leave
                load.running -= 1
                self._wake(name, load)
            raise

    def _wake(self, name: str, load: _Load) -> None:
        """Let as many waiting requests run as may."""
        limit = self._limits.get(name)
        most = limit.max_streams if limit else None
        while load.waiting and (most is None or load.running < most):
            load.running += 1
            load.waiting.popleft().set_result(None)
        if not load.running and not load.waiting:
            self._loads.pop(name, None)
