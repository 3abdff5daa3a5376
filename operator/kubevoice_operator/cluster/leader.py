"""One of several operators acts: the one that holds a Lease and goes on renewing it.

The client library has an election of its own, but it measures with the wall clock, which may jump, and does not let
go of the Lease when it stops. Here a holder is believed alive as long as its record keeps changing, by this
process's own monotonic clock, as client-go does it.
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
    """How Leases are read and written."""

    async def lease(self) -> Lease | None:
        """Return the Lease, or None if there is none."""

    async def write_lease(self, lease: Lease) -> bool:
        """Create or replace the Lease; False if somebody else was faster."""


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True)
class Election:
    """A candidate.

    `duration` is how long a silent holder is believed (s), `deadline` how long its renewals may fail before it gives
    up, which must be shorter, `attempt` how long one request may take, `retry` the pause between two.
    """

    api: LeaseApi
    identity: str
    duration: float = 12.0
    deadline: float = 9.0
    attempt: float = 3.0
    retry: float = 2.0
    clock: Callable[[], float] = time.monotonic
    _seen: tuple[Any, float] = field(default=(None, 0.0), init=False)
    _acquired: str = field(default="", init=False)
    _renewed: float = field(default=-math.inf, init=False)

    @property
    def holds(self) -> bool:
        """Whether nobody else can hold the Lease yet. False in a process that slept, before it learns of it."""
        return self.clock() - self._renewed < self.duration

    async def acquire(self) -> None:
        """Wait until this candidate holds the Lease."""
        while not await self._try():  # noqa: ASYNC110  # the event is on the server
            await asyncio.sleep(self.retry)
        logger.info("leading as %s", self.identity)

    async def keep(self) -> None:
        """Renew the Lease; return when it is lost or could not be renewed in time."""
        renewed = self.clock()
        while True:
            await asyncio.sleep(self.retry)
            if await self._try():
                renewed = self.clock()
            elif self._lost() or self.clock() - renewed > self.deadline:
                logger.error("lost the lease to %s", self._holder() or "silence: the API server does not answer")
                return

    async def release(self) -> None:
        """Let go of the Lease, so that another need not wait for it to expire."""
        lease = await self.api.lease()
        if lease is not None and lease["spec"].get("holderIdentity") == self.identity:
            lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
            await self.api.write_lease(lease)

    def _holder(self) -> str:
        record = self._seen[0]
        return str(record[0]) if record else ""

    def _lost(self) -> bool:
        return self._holder() not in ("", self.identity)

    async def _try(self) -> bool:
        """Take or renew the Lease; False if another holds it or the API server does not answer."""
        try:
            async with asyncio.timeout(self.attempt):
                return await self._take()
        except Exception as error:  # noqa: BLE001  # whatever kept us from it, the deadline decides
            logger.warning("cannot renew the lease: %s", str(error) or type(error).__name__)
            return False

    async def _take(self) -> bool:
        began = self.clock()
        lease = await self.api.lease()
        spec: dict[str, Any] = dict((lease or {}).get("spec") or {})
        holder = spec.get("holderIdentity") or ""
        record = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._seen[0]:
            self._seen = (record, self.clock())
        if holder not in ("", self.identity) and self.clock() - self._seen[1] < self.duration:
            return False
        mine = holder == self.identity and bool(self._acquired)
        self._acquired = self._acquired if mine else _stamp()
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": round(self.duration),
            "acquireTime": self._acquired,
            "renewTime": _stamp(),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (holder != self.identity),
        }
        if not await self.api.write_lease({**(lease or {}), "spec": spec}):
            return False
        self._seen = ((self.identity, spec["renewTime"], spec["leaseTransitions"]), self.clock())
        self._renewed = began
        return True
