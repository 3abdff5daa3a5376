"""What is remembered of speech: in this process, and in a real Redis that may die or dawdle."""

import asyncio
import signal
import time
from contextlib import aclosing

import pytest
from kubevoice.engine import Controls
from kubevoice.text.ssml import Notice
from kubevoice_serving.domain import SpeechAnswer, SpeechEnd, SpeechHead, SpeechJob
from kubevoice_serving.routing.response_cache import LARGEST, PREFIX, REST_SECONDS, Phrases, Single, pack, phrase_key
from kubevoice_serving.routing.tracks import CacheConfig
from redis import Redis
from redis_server import RedisServer

REVISION = "sha256:" + "1" * 64


def answer(audio=b"speech", **head):
    return SpeechAnswer(SpeechHead("wav", 24000, "mei", REVISION, **head), audio, SpeechEnd(1.5, 0.1, 0.0, 0.1))


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


async def keep(config, key, what):
    """Keep something as another process would."""
    async with aclosing(Phrases(config)) as phrases:
        phrases.keep(key, what)


def remembering(redis=None, **more):
    return aclosing(Phrases(CacheConfig(redis_url=redis and redis.url, **more)))


JOB = SpeechJob("你好。", "mei")


@pytest.mark.parametrize(
    "other",
    [
        SpeechJob("你好！", "mei"),
        SpeechJob("你好。", "mei", "mp3"),
        SpeechJob("你好。", "mei", controls=Controls(speed=1.1)),
        SpeechJob("你好。", "mei", controls=Controls(emotion="happy")),
        SpeechJob("你好。", "mei", ssml=True),
        SpeechJob("你好。", "mei", lexicon={"好": ("hao4",)}),
    ],
)
def test_whatever_changes_the_speech_changes_the_key(other):
    assert phrase_key(other, REVISION, whole=True) != phrase_key(JOB, REVISION, whole=True)
    assert phrase_key(JOB, "sha256:" + "2" * 64, whole=True) != phrase_key(JOB, REVISION, whole=True)
    assert phrase_key(JOB, REVISION, whole=False) != phrase_key(JOB, REVISION, whole=True)  # a wav's head
    assert phrase_key(SpeechJob("你好。", "mei"), REVISION, whole=True) == phrase_key(JOB, REVISION, whole=True)


def test_what_is_found_is_what_was_kept_at_no_cost():
    async def scene():
        async with remembering() as phrases:
            assert await phrases.find("a") is None
            phrases.keep("a", answer(notices=(Notice("gone", 1, 2),)))
            found = await phrases.find("a")
        assert (found.audio, found.head.notices, found.head.cached) == (b"speech", (Notice("gone", 1, 2),), "memory")
        assert (found.end.audio_seconds, found.end.synthesis_seconds) == (1.5, 0.0)

    asyncio.run(scene())


def test_memory_is_bounded_in_size_and_forgets_what_was_asked_for_longest_ago():
    async def scene():
        async with remembering(megabytes=1) as phrases:
            large = answer(bytes(400_000))
            phrases.keep("a", large)
            phrases.keep("b", large)
            assert await phrases.find("a")  # so that it is b's turn
            phrases.keep("c", large)
            assert [key for key in "abc" if await phrases.find(key)] == ["a", "c"]
            phrases.keep("huge", answer(bytes(LARGEST + 1)))
            assert await phrases.find("huge") is None

    asyncio.run(scene())


def test_nothing_is_kept_for_longer_than_was_said(redis, monkeypatch):
    async def scene():
        async with remembering(redis, ttl_seconds=100.0) as phrases:
            phrases.keep("a", answer())
        with Redis.from_url(redis.url) as client:
            assert 90 < client.ttl(PREFIX + "a") <= 100
        async with remembering(ttl_seconds=100.0) as phrases:
            phrases.keep("a", answer())
            assert await phrases.find("a")
            later(monkeypatch, 101)
            assert await phrases.find("a") is None

    asyncio.run(scene())


def later(monkeypatch, seconds):
    now = time.monotonic()
    monkeypatch.setattr("kubevoice_serving.routing.response_cache.time.monotonic", lambda: now + seconds)


def test_redis_remembers_for_other_processes(redis):
    async def scene():
        await keep(CacheConfig(redis_url=redis.url), "a", answer())
        async with remembering(redis) as phrases:
            assert (await phrases.find("a")).head.cached == "redis"
            assert (await phrases.find("a")).head.cached == "memory"

    asyncio.run(scene())


@pytest.mark.parametrize("rubbish", [b"", b"{}", b"[]\n", b'{"head": 3}\nx', b"\xff\n", pack(answer())[:40]])
def test_what_somebody_else_wrote_there_is_as_good_as_nothing(redis, rubbish):
    async def scene():
        with Redis.from_url(redis.url) as client:
            client.set(PREFIX + "a", rubbish)
        async with remembering(redis) as phrases:
            assert await phrases.find("a") is None

    asyncio.run(scene())


@pytest.mark.parametrize("fate", [signal.SIGSTOP, signal.SIGKILL])
def test_a_redis_that_dawdles_or_dies_costs_little_and_is_found_again(redis, fate, monkeypatch):
    async def scene():
        config = CacheConfig(redis_url=redis.url)
        await keep(config, "a", answer())
        async with remembering(redis) as phrases:
            redis.send(fate)
            began = time.monotonic()
            assert await phrases.find("a") is None
            assert time.monotonic() - began < 1
            began = time.monotonic()
            for _ in range(100):
                assert await phrases.find("a") is None
            assert time.monotonic() - began < 0.1  # it is left alone
            phrases.keep("b", answer(b"b"))
            assert (await phrases.find("b")).audio == b"b"  # this process remembers all the same
            if fate == signal.SIGSTOP:
                redis.send(signal.SIGCONT)
            else:
                redis.stop()
                redis.start()
                await keep(config, "a", answer())
            later(monkeypatch, REST_SECONDS + 1)
            assert (await phrases.find("a")).head.cached == "redis"

    asyncio.run(scene())


def test_equal_requests_are_spoken_once_and_end_when_nobody_waits():
    made, ended = [], []

    async def speak():
        made.append(1)
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            ended.append(1)
            raise
        return "speech"

    async def scene():
        single = Single()
        assert await asyncio.gather(*(single.do("a", speak) for _ in range(5))) == ["speech"] * 5
        assert len(made) == 1
        first, second = (asyncio.create_task(single.do("a", speak)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "speech"  # the one who asked first went away
        assert len(made) == 2
        lonely = asyncio.create_task(single.do("a", speak))
        await asyncio.sleep(0.01)
        lonely.cancel()
        await asyncio.gather(lonely, return_exceptions=True)
        await asyncio.sleep(0)
        assert ended == [1]
        assert await single.do("a", speak) == "speech"

    asyncio.run(scene())


def test_what_goes_wrong_goes_wrong_for_all_who_wait_and_is_not_kept():
    async def fail():
        await asyncio.sleep(0.01)
        raise KeyError("gone")

    async def scene():
        single = Single()
        found = await asyncio.gather(*(single.do("a", fail) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in found] == [KeyError] * 3

    asyncio.run(scene())
