"""The response cache: results of earlier requests, kept in this process and, if configured, in Redis.

An entry's key is a digest of the voice, its revision and every option of the request (see `make_cache_key`). So an
entry never becomes stale, and no entry is invalidated.
"""

import asyncio
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, astuple, replace

from kubevoice.digests import hash_text
from kubevoice.engine.timing import Times
from kubevoice.resources.data_plane import CacheConfig
from kubevoice.text.ssml import Notice
from pydantic import TypeAdapter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from kubevoice_serving.domain import SpeechHead, SynthesisRequest, SynthesisResult, SynthesisStats

__all__ = ["MAX_AUDIO_BYTES", "MemoryTier", "RedisTier", "ResponseCache", "make_cache_key"]

logger = logging.getLogger(__name__)

MAX_AUDIO_BYTES = 2 << 20
"""Results with more audio than this are not cached."""
KEY_PREFIX = "kubevoice:2:"
"""Prefix of the keys in Redis; the number changes with the format of the entries."""
CONNECT_SECONDS, RESPONSE_SECONDS = 0.25, 0.1
TIMES = TypeAdapter(Times)
REDIS_BACKOFF_SECONDS = 5.0
"""How long Redis is not used after it failed."""


def make_cache_key(request: SynthesisRequest, voice: str, revision: str, *, streaming: bool) -> str:
    """Compute the key of a result.

    Parameters
    ----------
    request : SynthesisRequest
        Of it the key has text, format, loudness, timestamps, controls, instructions, whether it is SSML, and its
        reading options. It leaves out what does not change the result: whether the cache is bypassed, when the result
        is due, how long it may wait, what it continues, whether it may be silent, and the trace.
    voice : str
        Name of the voice, the default one's if the request names none. Two names may have the same revision, and the
        head of a result names the voice.
    revision : str
        Digest of the voice's bundle.
    streaming : bool
        Whether the audio is sent while it is synthesized. If so there may be timestamps; if not, a `wav` or a `flac`
        has its length in its header.

    Returns
    -------
    str
        A SHA-256 in hexadecimal.
    """
    options = request.reading_options
    lexicon = sorted((word, list(reading)) for word, reading in (options.lexicon or {}).items())
    reading_options = [lexicon, options.hints, options.keep_code]
    header_has_length = not streaming and request.audio_format in ("wav", "flac")
    output = [request.audio_format, header_has_length, request.timestamps and streaming, request.loudness]
    controls = [*astuple(request.controls), request.instructions]
    parts = [voice, revision, request.text, output, controls, request.ssml, reading_options]
    return hash_text(json.dumps(parts))


def serialize_result(result: SynthesisResult) -> bytes:
    """Write a result as a line of JSON and its audio.

    Parameters
    ----------
    result : SynthesisResult
        The result; of its costs only the length of the audio is written.

    Returns
    -------
    bytes
        A line of JSON, and the audio.
    """
    head = asdict(replace(result.head, cache_tier=""))
    fields = {"head": head, "audioSeconds": result.stats.audio_seconds, "times": asdict(result.times)}
    return json.dumps(fields).encode() + b"\n" + result.audio


def deserialize_result(data: bytes, tier: str) -> SynthesisResult | None:
    """Read what `serialize_result` wrote.

    Parameters
    ----------
    data : bytes
        An entry of the cache.
    tier : str
        The tier it comes from, for the head.

    Returns
    -------
    SynthesisResult or None
        Its synthesis cost nothing. None if something else wrote the entry.
    """
    line, _, audio = data.partition(b"\n")
    try:
        fields = json.loads(line)
        notices = tuple(Notice(**notice) for notice in fields["head"]["notices"])
        head = SpeechHead(**(fields["head"] | {"notices": notices, "cache_tier": tier}))
        stats = SynthesisStats(float(fields["audioSeconds"]), 0.0, 0.0, 0.0)
        return SynthesisResult(head, audio, stats, TIMES.validate_python(fields["times"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class MemoryTier:
    """The tier in this process; the least recently used entries are deleted for new ones.

    Parameters
    ----------
    max_bytes : int
        Largest sum of the sizes of all entries.
    ttl_seconds : float
        Seconds from `set` until an entry expires.
    """

    def __init__(self, max_bytes: int, ttl_seconds: float) -> None:
        self._max_bytes, self._ttl_seconds, self._size = max_bytes, ttl_seconds, 0
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        """Expiry, on the clock of time.monotonic, and value by key; the entry used longest ago comes first."""

    def get(self, key: str) -> bytes | None:
        """Look up an entry.

        Parameters
        ----------
        key : str
            Key of the entry.

        Returns
        -------
        bytes or None
            Its data; None if there is no entry, or if it has expired.
        """
        expiry, data = self._entries.get(key, (0.0, b""))
        if expiry < time.monotonic():
            self._delete(key)
            return None
        self._entries.move_to_end(key)
        return data

    def set(self, key: str, data: bytes) -> None:
        """Store an entry, and delete others until all fit.

        Parameters
        ----------
        key : str
            Key of the entry.
        data : bytes
            Its data. If it is larger than the tier, the tier is empty afterwards.
        """
        self._delete(key)
        self._entries[key] = (time.monotonic() + self._ttl_seconds, data)
        self._size += len(data)
        while self._size > self._max_bytes:
            self._delete(next(iter(self._entries)))

    def _delete(self, key: str) -> None:
        self._size -= len(self._entries.pop(key, (0.0, b""))[1])


class RedisTier:
    """The tier in Redis. If Redis is slow or does not answer, the tier acts as empty and does not use it for a while.

    Parameters
    ----------
    url : str
        A `redis://` address; user name and password come from REDIS_USERNAME and REDIS_PASSWORD.
    ttl_seconds : float
        Seconds from `set` until an entry expires.
    """

    def __init__(self, url: str, ttl_seconds: float) -> None:
        self._client = Redis.from_url(
            url,
            username=os.environ.get("REDIS_USERNAME"),
            password=os.environ.get("REDIS_PASSWORD"),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=RESPONSE_SECONDS,
        )
        self._ttl_seconds, self._retry_at = ttl_seconds, 0.0
        """`_retry_at` is when Redis may be asked again, on the clock of time.monotonic; set by `_call` on failure."""

    async def get(self, key: str) -> bytes | None:
        """Look up an entry.

        Parameters
        ----------
        key : str
            Key of the entry.

        Returns
        -------
        bytes or None
            Its data; None if there is no entry, or if Redis does not answer.
        """
        data = await self._call(lambda: self._client.get(KEY_PREFIX + key))
        return data if isinstance(data, bytes) else None

    async def set(self, key: str, data: bytes) -> None:
        """Store an entry. If Redis does not answer, the entry is dropped.

        Parameters
        ----------
        key : str
            Key of the entry.
        data : bytes
            Its data.
        """
        await self._call(lambda: self._client.set(KEY_PREFIX + key, data, px=round(self._ttl_seconds * 1000)))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, command: Callable[[], Awaitable[object]]) -> object:
        """Return the result of a command; None if Redis fails, or failed lately."""
        if time.monotonic() < self._retry_at:
            return None
        try:
            async with asyncio.timeout(CONNECT_SECONDS + RESPONSE_SECONDS):
                return await command()
        except (RedisError, OSError, TimeoutError) as error:
            self._retry_at = time.monotonic() + REDIS_BACKOFF_SECONDS
            logger.warning("Redis does not answer (%s); it is not used for %g s", error, REDIS_BACKOFF_SECONDS)
            return None


class ResponseCache:
    """Both tiers: the memory tier is read first, and stores what is read from the Redis tier.

    Parameters
    ----------
    config : CacheConfig
        Sizes, and the address of Redis.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self._memory = MemoryTier(config.megabytes << 20, config.ttl_seconds)
        self._redis = RedisTier(config.redis_url, config.ttl_seconds) if config.redis_url else None
        self._writes: set[asyncio.Task[None]] = set()
        """Writes to Redis in progress; `set` adds, each removes itself when done."""

    async def get(self, key: str) -> SynthesisResult | None:
        """Look up a result. It never raises.

        Parameters
        ----------
        key : str
            A key of `make_cache_key`.

        Returns
        -------
        SynthesisResult or None
            The result; None if there is none.
        """
        if (data := self._memory.get(key)) is not None:
            return deserialize_result(data, "memory")
        if self._redis is None or (data := await self._redis.get(key)) is None:
            return None
        if (result := deserialize_result(data, "redis")) is not None:
            self._memory.set(key, data)
        return result

    def set(self, key: str, result: SynthesisResult) -> None:
        """Store a result. Redis is written in the background.

        Parameters
        ----------
        key : str
            A key of `make_cache_key`.
        result : SynthesisResult
            The result; not stored if its audio is larger than MAX_AUDIO_BYTES.
        """
        if len(result.audio) > MAX_AUDIO_BYTES:
            return
        data = serialize_result(result)
        self._memory.set(key, data)
        if self._redis is not None:
            write = asyncio.create_task(self._redis.set(key, data))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)

    async def aclose(self) -> None:
        """Finish the writes to Redis and close its connections."""
        await asyncio.gather(*self._writes)
        if self._redis is not None:
            await self._redis.aclose()
