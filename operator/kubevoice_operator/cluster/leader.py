"""Leader election by a Lease: one of several operators acts, the one that keeps renewing it.

The Python client's election uses the wall clock, which may jump, and does not release the Lease when it stops. Here,
as in client-go, a holder counts as alive while its record keeps changing, measured by this process's monotonic clock.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

__all__ = ["Election", "LeaseApi"]

logger = logging.getLogger(__name__)

Lease = dict[str, Any]


class LeaseApi(Protocol):
    """Access to the Lease."""

    async def read_lease(self) -> Lease | None:
        """Read the Lease.

        Returns
        -------
        Lease or None
            None if there is none.
        """

    async def write_lease(self, lease: Lease) -> bool:
        """Create or replace the Lease.

        Parameters
        ----------
        lease
            What to write; its version is that of the Lease as it was read.

        Returns
        -------
        bool
            False if another process changed it first.
        """


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True)
class Election:
    """A candidate of the election.

    Attributes
    ----------
    api
        Access to the Lease.
    identity
        The name of this process in the Lease.
    duration
        Seconds without a renewal after which another holder counts as gone.
    deadline
        Seconds for which renewals may fail before the leader gives up; shorter than `duration`.
    attempt
        Time limit of one request, in seconds.
    retry
        Pause between two requests, in seconds.
    clock
        A monotonic clock, in seconds.
    """

    api: LeaseApi
    identity: str
    duration: float = 12.0
    deadline: float = 9.0
    attempt: float = 3.0
    retry: float = 2.0
    clock: Callable[[], float] = time.monotonic
    _seen: tuple[Any, float] = field(default=(None, 0.0), init=False)
    """Holder, renewal time and transitions of the Lease as they were read or written last, and when they changed, by
    this process's clock. Another holder counts as alive for `duration` after that."""
    _acquired: str = field(default="", init=False)
    """The acquireTime that this candidate wrote; empty until it first tries to write one. It stays the same while the
    Lease names this candidate."""
    _renewed: float = field(default=-math.inf, init=False)
    """When the last successful renewal began. Other candidates see the renewal later than that, so `is_leader` ends
    before any of them may take over. Written in the background loop, read by the main one."""

    @property
    def is_leader(self) -> bool:
        """Whether no other process can hold the Lease yet; False after this process was suspended for long."""
        return self.clock() - self._renewed < self.duration

    async def acquire(self) -> None:
        """Wait until this candidate holds the Lease."""
        while not await self._try_acquire_or_renew():  # noqa: ASYNC110  # the event is on the server
            await asyncio.sleep(self.retry)
        logger.info("leading as %s", self.identity)

    async def renew_until_lost(self) -> None:
        """Renew the Lease; return when another holds it or it was not renewed within `deadline`."""
        renewed = self.clock()
        while True:
            await asyncio.sleep(self.retry)
            if await self._try_acquire_or_renew():
                renewed = self.clock()
            elif self._is_lost() or self.clock() - renewed > self.deadline:
                logger.error(
                    "lost the lease to %s", self._holder() or "no other holder; the API server does not answer"
                )
                return

    async def release(self) -> None:
        """Release the Lease, so that another candidate need not wait for it to expire."""
        lease = await self.api.read_lease()
        if lease is not None and lease["spec"].get("holderIdentity") == self.identity:
            lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
            await self.api.write_lease(lease)

    def _holder(self) -> str:
        record = self._seen[0]
        return str(record[0]) if record else ""

    def _is_lost(self) -> bool:
        return self._holder() not in ("", self.identity)

    async def _try_acquire_or_renew(self) -> bool:
        """Acquire or renew the Lease; return False if another holds it or the API server does not answer."""
        try:
            async with asyncio.timeout(self.attempt):
                return await self._acquire_or_renew()
        except Exception as error:  # noqa: BLE001  # whatever the cause, the deadline decides
            logger.warning("cannot renew the lease: %s", str(error) or type(error).__name__)
            return False

    async def _acquire_or_renew(self) -> bool:
        began = self.clock()
        lease = await self.api.read_lease()
        spec: dict[str, Any] = dict((lease or {}).get("spec") or {})
        holder = spec.get("holderIdentity") or ""
        record = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._seen[0]:
            self._seen = (record, self.clock())
        if holder not in ("", self.identity) and self.clock() - self._seen[1] < self.duration:
            return False
        mine = holder == self.identity and bool(self._acquired)
        self._acquired = self._acquired if mine else _timestamp()
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": round(self.duration),
            "acquireTime": self._acquired,
            "renewTime": _timestamp(),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (holder != self.identity),
        }
        if not await self.api.write_lease({**(lease or {}), "spec": spec}):
            return False
        self._seen = ((self.identity, spec["renewTime"], spec["leaseTransitions"]), self.clock())
        self._renewed = began
        return True
