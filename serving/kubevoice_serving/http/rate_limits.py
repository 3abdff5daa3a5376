"""Rate limits: a token bucket for each caller, in this process."""

import math
from collections import OrderedDict

__all__ = ["RateLimiter"]

MAX_CALLERS = 10_000
"""Buckets kept; the one used longest ago is dropped first. After a minute of rest it is full, like a new one."""
MINUTE = 60.0


class RateLimiter:
    """Limits the requests of each caller.

    Parameters
    ----------
    requests_per_minute : int
        Rate at which requests pass, and how many may come at once after a minute without any.
    """

    def __init__(self, requests_per_minute: int) -> None:
        self.requests_per_minute = requests_per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens and the time they were counted at, by caller; the caller seen longest ago comes first."""

    def acquire(self, caller: str, now: float, requests: int = 1) -> int:
        """Take tokens for some requests of a caller.

        Parameters
        ----------
        caller : str
            Whose bucket it is.
        now : float
            Seconds of any monotonic clock.
        requests : int
            How many tokens; at most `requests_per_minute`.

        Returns
        -------
        int
            0 if the requests pass, or else the whole seconds after which they would.
        """
        refill_rate = self.requests_per_minute / MINUTE
        tokens, since = self._buckets.pop(caller, (float(self.requests_per_minute), now))
        tokens = min(self.requests_per_minute, tokens + (now - since) * refill_rate)
        passes = tokens >= requests
        self._buckets[caller] = (tokens - requests * passes, now)
        while len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return 0 if passes else max(1, math.ceil((requests - tokens) / refill_rate))
