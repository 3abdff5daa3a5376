"""How often each caller may ask: a bucket of tokens for each, in this process."""

import math
from collections import OrderedDict

__all__ = ["Rates"]

MOST_CALLERS = 10_000
"""Buckets kept. The one unused for longest is dropped first; after a minute of rest it is full, as a new one is."""
MINUTE = 60.0


class Rates:
    """`per_minute` requests of each caller; after a rest so many may come at once."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now: float, requests: int = 1) -> int:
        """Let requests pass at `now` (seconds of any clock) with 0, or return the whole seconds to wait.

        Together they may be `per_minute` at most.
        """
        refill = self.per_minute / MINUTE
        tokens, since = self._buckets.pop(caller, (float(self.per_minute), now))
        tokens = min(self.per_minute, tokens + (now - since) * refill)
        passes = tokens >= requests
        self._buckets[caller] = (tokens - requests * passes, now)
        while len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0 if passes else max(1, math.ceil((requests - tokens) / refill))
