"""Counts the outcomes of the requests of a track, stable or canary."""

import math
from collections import deque

from kubevoice.resources.data_plane import TrackTraffic

__all__ = ["TrafficCounter"]

RECENT = 1000
"""The 95th percentile is that of this many last results: memory is bounded, and old requests do not count."""


class TrafficCounter:
    """Counts the requests of a track, in bounded memory."""

    def __init__(self) -> None:
        self._requests = self._errors = 0
        """Counts since the start; never cleared, because a new canary gets a new counter."""
        self._seconds: deque[float] = deque(maxlen=RECENT)
        """Seconds to the last sample of the last successful requests; `count_success` adds."""

    def count_success(self, seconds: float) -> None:
        """Count a request that got speech.

        Parameters
        ----------
        seconds : float
            Time from sending the request to a replica until its last sample.
        """
        self._requests += 1
        self._seconds.append(seconds)

    def count_refusal(self) -> None:
        """Count a request that the caller got wrong."""
        self._requests += 1

    def count_failure(self) -> None:
        """Count a request that got no answer."""
        self._requests += 1
        self._errors += 1

    def snapshot(self) -> TrackTraffic:
        """Return the counts so far.

        Returns
        -------
        TrackTraffic
            Requests and errors since the counter was made; the 95th percentile of the last RECENT successes in seconds,
            None without any.
        """
        ranked = sorted(self._seconds)
        p95 = round(ranked[math.ceil(0.95 * len(ranked)) - 1], 4) if ranked else None
        return TrackTraffic(requests=self._requests, errors=self._errors, p95_seconds=p95)
