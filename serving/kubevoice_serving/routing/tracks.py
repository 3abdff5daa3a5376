"""Configuration of the HTTP process, and what became of the requests of the two tracks, stable and canary."""

import math
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from kubevoice.validation import CamelModel
from pydantic import Field

__all__ = ["AccessConfig", "CacheConfig", "CanaryConfig", "IngressConfig", "TrackTraffic", "TrafficCounter"]

RECENT = 1000
"""The 95th percentile is that of this many last results: memory is bounded, and old requests do not count."""


class CanaryConfig(CamelModel):
    """The revision that is being tried, the application that serves it, and its share of the requests."""

    application: str = Field(min_length=1)
    revision: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    weight: int = Field(ge=0, le=100)
    """Percent."""


class CacheConfig(CamelModel):
    """What is kept of speech that was made: so many megabytes for so many seconds, and in Redis if there is one."""

    megabytes: int = Field(64, ge=0)
    ttl_seconds: float = Field(3600.0, gt=0)
    redis_url: str | None = None


class AccessConfig(CamelModel):
    """Who may call: anybody without a file of keys; other web sites' scripts only if they are named."""

    keys_file: Path | None = None
    cors_origins: tuple[str, ...] = ()
    requests_per_minute: int | None = Field(None, ge=1)
    """Of each key, or of each address where there are no keys."""


class IngressConfig(CamelModel):
    """The user_config of the deployment `Ingress`: changing it restarts nothing."""

    canary: CanaryConfig | None = None
    voices: dict[str, str] = Field(default_factory=dict)
    """The revision that each voice is to have."""
    default: str = ""
    """The voice of requests that name none."""
    cache: CacheConfig = CacheConfig()
    access: AccessConfig = AccessConfig()


@dataclass(frozen=True, slots=True)
class TrackTraffic:
    """What became of the requests a track took. A mistake of the caller's is a request, but no error."""

    requests: int
    errors: int
    p95_seconds: float | None
    """95th percentile of the time to a whole answer; None before there is one."""


class TrafficCounter:
    """Counts the requests of a track, in bounded memory."""

    def __init__(self) -> None:
        self._requests = self._errors = 0
        self._seconds: deque[float] = deque(maxlen=RECENT)
        """Seconds to the last sample of the last successful requests; `count_success` adds."""

    def count_success(self, seconds: float) -> None:
        """Count a request that got speech, `seconds` after it was sent to a replica."""
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
        """Return the counts so far."""
        ranked = sorted(self._seconds)
        p95 = round(ranked[math.ceil(0.95 * len(ranked)) - 1], 4) if ranked else None
        return TrackTraffic(self._requests, self._errors, p95)
