"""Phrases that were spoken before: kept in this process and in Redis, if there is one, and answered from there.

A key is the digest of the revision and of everything that was asked for, so that nothing is ever out of date.
"""

import asyncio
import hashlib
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, astuple, dataclass, replace

from kubevoice.engine.timing import Times
from kubevoice.text.ssml import Notice
from pydantic import TypeAdapter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from kubevoice_serving.domain import SpeechAnswer, SpeechEnd, SpeechHead, SpeechJob
from kubevoice_serving.routing.tracks import CacheConfig

__all__ = ["Phrases", "Single", "phrase_key"]

logger = logging.getLogger(__name__)

LARGEST = 2 << 20
"""Bytes of audio that are kept; what is longer is no phrase."""
PREFIX = "kubevoice:1:"
CONNECT_SECONDS, ANSWER_SECONDS = 0.25, 0.1
TIMES = TypeAdapter(Times)
REST_SECONDS = 5.0
"""How long Redis is left alone after it failed."""


def phrase_key(job: SpeechJob, revision: str, *, whole: bool) -> str:
    """Name what a revision makes of a request.

    A `wav` or a `flac` has another head if it is not made `whole`, and only a stream has times.
    """
    lexicon = sorted((word, list(reading)) for word, reading in (job.lexicon or {}).items())
    told = whole and job.audio_format in ("wav", "flac")
    timed = job.timestamps and not whole
    how = [job.audio_format, told, timed, job.loudness]
    parts = [revision, job.text, how, astuple(job.controls), job.ssml, lexicon]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def pack(answer: SpeechAnswer) -> bytes:
    """Write an answer as a line of JSON and its audio."""
    head = asdict(replace(answer.head, cached=""))
    told = {"head": head, "audioSeconds": answer.end.audio_seconds, "times": asdict(answer.times)}
    return json.dumps(told).encode() + b"\n" + answer.audio


def unpack(data: bytes, tier: str) -> SpeechAnswer | None:
    """Read what `pack` wrote; None if somebody else wrote it."""
    line, _, audio = data.partition(b"\n")
    try:
        told = json.loads(line)
        fields = told["head"] | {"notices": tuple(Notice(**one) for one in told["head"]["notices"]), "cached": tier}
        end = SpeechEnd(float(told["audioSeconds"]), 0.0, 0.0, 0.0)
        return SpeechAnswer(SpeechHead(**fields), audio, end, TIMES.validate_python(told["times"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class _Memory:
    """The tier of this process: what was asked for last, up to so many bytes and seconds."""

    def __init__(self, most_bytes: int, seconds: float) -> None:
        self._most, self._seconds, self._size = most_bytes, seconds, 0
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        until, data = self._entries.get(key, (0.0, b""))
        if until < time.monotonic():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return data

    def put(self, key: str, data: bytes) -> None:
        self._drop(key)
        self._entries[key] = (time.monotonic() + self._seconds, data)
        self._size += len(data)
        while self._size > self._most:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        self._size -= len(self._entries.pop(key, (0.0, b""))[1])


class _Remote:
    """Redis. When it is slow or away it is as if it held nothing, and it is left alone for a while."""

    def __init__(self, url: str, seconds: float) -> None:
        self._client = Redis.from_url(
            url,
            username=os.environ.get("REDIS_USERNAME"),
            password=os.environ.get("REDIS_PASSWORD"),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
        )
        self._seconds, self._again = seconds, 0.0

    async def get(self, key: str) -> bytes | None:
        found = await self._asked(lambda: self._client.get(PREFIX + key))
        return found if isinstance(found, bytes) else None

    async def put(self, key: str, data: bytes) -> None:
        await self._asked(lambda: self._client.set(PREFIX + key, data, px=round(self._seconds * 1000)))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _asked(self, ask: Callable[[], Awaitable[object]]) -> object:
        if time.monotonic() < self._again:
            return None
        try:
            async with asyncio.timeout(CONNECT_SECONDS + ANSWER_SECONDS):
                return await ask()
        except (RedisError, OSError, TimeoutError) as error:
            self._again = time.monotonic() + REST_SECONDS
            logger.warning("Redis does not answer (%s); phrases are spoken anew for %g s", error, REST_SECONDS)
            return None


class Phrases:
    """Both tiers."""

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self._memory = _Memory(config.megabytes << 20, config.ttl_seconds)
        self._remote = _Remote(config.redis_url, config.ttl_seconds) if config.redis_url else None
        self._writing: set[asyncio.Task[None]] = set()

    async def find(self, key: str) -> SpeechAnswer | None:
        """Return what was kept under `key`; it never fails."""
        if (data := self._memory.get(key)) is not None:
            return unpack(data, "memory")
        if self._remote is None or (data := await self._remote.get(key)) is None:
            return None
        if (found := unpack(data, "redis")) is not None:
            self._memory.put(key, data)
        return found

    async def aclose(self) -> None:
        """Finish writing to Redis and leave it."""
        await asyncio.gather(*self._writing)
        if self._remote is not None:
            await self._remote.aclose()

    def keep(self, key: str, answer: SpeechAnswer) -> None:
        """Keep an answer; nobody waits for Redis."""
        if len(answer.audio) > LARGEST:
            return
        data = pack(answer)
        self._memory.put(key, data)
        if self._remote is not None:
            writing = asyncio.create_task(self._remote.put(key, data))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)


@dataclass(slots=True)
class _Flight:
    task: "asyncio.Task[object]"
    waiting: int = 0


class Single:
    """Equal requests at the same time are made once; the work ends when nobody waits for it any more."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}

    async def do(self, key: str, make: Callable[[], Awaitable[object]]) -> object:
        """Return what `make` returns, or what it will have returned to whoever asked first."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(make()))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.task.done() or not flight.waiting:
                flight.task.cancel()
                if self._flights.get(key) is flight:
                    del self._flights[key]
