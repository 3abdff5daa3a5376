"""The response cache: its memory tier, and its Redis tier, which may hang or be lost."""

import asyncio
import signal
import time
from contextlib import aclosing

import pytest
from kubevoice.engine import Controls
from kubevoice.resources.data_plane import CacheConfig
from kubevoice.text import ReadingOptions
from kubevoice.text.ssml import Notice
from kubevoice_serving.domain import SpeechHead, SynthesisRequest, SynthesisResult, SynthesisStats
from kubevoice_serving.routing.response_cache import (
    KEY_PREFIX,
    MAX_AUDIO_BYTES,
    REDIS_BACKOFF_SECONDS,
    ResponseCache,
    make_cache_key,
    serialize_result,
)
from redis import Redis
from redis_server import RedisServer

REVISION = "sha256:" + "1" * 64


def make_result(audio=b"speech", **head):
    return SynthesisResult(SpeechHead("wav", 24000, "mei", REVISION, **head), audio, SynthesisStats(1.5, 0.1, 0.0, 0.1))


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


async def store(config, key, result):
    """Store a result as another process would."""
    async with aclosing(ResponseCache(config)) as cache:
        cache.set(key, result)


def open_cache(redis=None, **options):
    return aclosing(ResponseCache(CacheConfig(redis_url=redis and redis.url, **options)))


REQUEST = SynthesisRequest("你好。", "mei")


def make_key(request=REQUEST, voice="mei", revision=REVISION, *, streaming=False):
    return make_cache_key(request, voice, revision, streaming=streaming)


@pytest.mark.parametrize(
    "other",
    [
        SynthesisRequest("你好！", "mei"),
        SynthesisRequest("你好。", "mei", "mp3"),
        SynthesisRequest("你好。", "mei", controls=Controls(speed=1.1)),
        SynthesisRequest("你好。", "mei", controls=Controls(emotion="happy")),
        SynthesisRequest("你好。", "mei", ssml=True),
        SynthesisRequest("你好。", "mei", reading_options=ReadingOptions({"好": ("hao4",)})),
        SynthesisRequest("你好。", "mei", reading_options=ReadingOptions(hints=False)),
        SynthesisRequest("你好。", "mei", reading_options=ReadingOptions(keep_code=True)),
    ],
)
def test_a_request_with_another_result_has_another_key(other):
    assert make_key(other) != make_key()
    assert make_key(revision="sha256:" + "2" * 64) != make_key()
    assert make_key(voice="tom") != make_key()
    assert make_key(streaming=True) != make_key()  # a wav's header
    assert make_key(SynthesisRequest("你好。", "mei")) == make_key()


def test_a_cached_result_equals_the_stored_one_without_its_costs():
    async def scenario():
        async with open_cache() as cache:
            assert await cache.get("a") is None
            cache.set("a", make_result(notices=(Notice("gone", 1, 2),)))
            cached = await cache.get("a")
        assert (cached.audio, cached.head.notices, cached.head.cache_tier) == (
            b"speech",
            (Notice("gone", 1, 2),),
            "memory",
        )
        assert (cached.stats.audio_seconds, cached.stats.synthesis_seconds) == (1.5, 0.0)

    asyncio.run(scenario())


def test_the_memory_tier_is_bounded_and_drops_the_least_recently_used_entry():
    async def scenario():
        async with open_cache(megabytes=1) as cache:
            large = make_result(bytes(400_000))
            cache.set("a", large)
            cache.set("b", large)
            assert await cache.get("a")  # so that b is the least recently used one
            cache.set("c", large)
            assert [key for key in "abc" if await cache.get(key)] == ["a", "c"]
            cache.set("huge", make_result(bytes(MAX_AUDIO_BYTES + 1)))
            assert await cache.get("huge") is None

    asyncio.run(scenario())


def test_entries_expire(redis, monkeypatch):
    async def scenario():
        async with open_cache(redis, ttl_seconds=100.0) as cache:
            cache.set("a", make_result())
        with Redis.from_url(redis.url) as client:
            assert 90 < client.ttl(KEY_PREFIX + "a") <= 100
        async with open_cache(ttl_seconds=100.0) as cache:
            cache.set("a", make_result())
            assert await cache.get("a")
            advance_clock(monkeypatch, 101)
            assert await cache.get("a") is None

    asyncio.run(scenario())


def advance_clock(monkeypatch, seconds):
    now = time.monotonic()
    monkeypatch.setattr("kubevoice_serving.routing.response_cache.time.monotonic", lambda: now + seconds)


def test_the_redis_tier_is_shared_between_processes(redis):
    async def scenario():
        await store(CacheConfig(redis_url=redis.url), "a", make_result())
        async with open_cache(redis) as cache:
            assert (await cache.get("a")).head.cache_tier == "redis"
            assert (await cache.get("a")).head.cache_tier == "memory"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "garbage", [b"", b"{}", b"[]\n", b'{"head": 3}\nx', b"\xff\n", serialize_result(make_result())[:40]]
)
def test_an_invalid_entry_is_a_miss(redis, garbage):
    async def scenario():
        with Redis.from_url(redis.url) as client:
            client.set(KEY_PREFIX + "a", garbage)
        async with open_cache(redis) as cache:
            assert await cache.get("a") is None

    asyncio.run(scenario())


@pytest.mark.parametrize("sent_signal", [signal.SIGSTOP, signal.SIGKILL])
def test_a_redis_that_hangs_or_ends_delays_little_and_is_used_again(redis, sent_signal, monkeypatch):
    async def scenario():
        config = CacheConfig(redis_url=redis.url)
        await store(config, "a", make_result())
        async with open_cache(redis) as cache:
            redis.send(sent_signal)
            began = time.monotonic()
            assert await cache.get("a") is None
            assert time.monotonic() - began < 1
            began = time.monotonic()
            for _ in range(100):
                assert await cache.get("a") is None
            assert time.monotonic() - began < 0.1  # Redis gets no request
            cache.set("b", make_result(b"b"))
            assert (await cache.get("b")).audio == b"b"  # the memory tier works without Redis
            if sent_signal == signal.SIGSTOP:
                redis.send(signal.SIGCONT)
            else:
                redis.stop()
                redis.start()
                await store(config, "a", make_result())
            advance_clock(monkeypatch, REDIS_BACKOFF_SECONDS + 1)
            assert (await cache.get("a")).head.cache_tier == "redis"

    asyncio.run(scenario())
