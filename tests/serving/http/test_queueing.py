"""Streams and complete files wait for a replica; how many and how long is configured."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from http_app import serve_app
from kubevoice.resources.data_plane import QueueConfig
from kubevoice_serving.domain import AtCapacityError, Preceding, SpeechHead, SynthesisRequest
from kubevoice_serving.routing.queueing_backend import QueueingBackend

CALLERS = 20
TEXT = "今天天气真好，我们一起去公园散步吧！" * 3


class LimitedBackend:
    """Refuses streams beyond `room`; records the texts that tried and those that were taken."""

    def __init__(self, room):
        self.room, self.taken, self.tries = room, [], []
        self._changed = asyncio.Condition()

    async def wait_for_tries(self, count):
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.tries) >= count)

    async def stream(self, request):
        async with self._changed:
            self.tries.append(request.text)
            self._changed.notify_all()
        if request.preceding is None and not self.room:
            raise AtCapacityError
        self.room -= 1
        self.taken.append(request.text)
        yield SpeechHead("mp3", 8000, "toy", "r")


def make_queue(room, **limits):
    backend = LimitedBackend(room)
    queue = QueueingBackend(backend)
    queue.configure(QueueConfig(**limits))
    return backend, queue


async def read(queue, text, **fields):
    return [item async for item in queue.stream(SynthesisRequest(text, **fields))]


async def start(queue, texts):
    tasks = []
    for text in texts:
        tasks.append(asyncio.create_task(read(queue, text)))
        await asyncio.sleep(0)
    return tasks


def test_streams_wait_in_the_order_of_their_arrival():
    async def check():
        backend, queue = make_queue(1)
        tasks = await start(queue, ["first", "second", "third"])
        await tasks[0]
        await backend.wait_for_tries(3)
        backend.room = 2
        await asyncio.gather(*tasks)
        assert backend.taken == ["first", "second", "third"]

    asyncio.run(check())


def test_only_the_first_of_the_queue_asks_the_replicas():
    async def check():
        backend, queue = make_queue(0)
        tasks = await start(queue, ["first", "second"])
        await backend.wait_for_tries(10)
        assert set(backend.tries[3:]) == {"first"}
        for task in tasks:
            task.cancel()

    asyncio.run(check())


def test_more_than_may_wait_are_refused_at_once():
    async def check():
        backend, queue = make_queue(0, requests=2)
        tasks = await start(queue, ["a", "b"])
        await backend.wait_for_tries(2)
        with pytest.raises(AtCapacityError, match="2 requests wait"):
            await read(queue, "c")
        backend.room = 3
        await asyncio.gather(*tasks)
        await read(queue, "d")

    asyncio.run(check())


def test_a_stream_that_has_waited_long_enough_is_refused():
    async def check():
        _, queue = make_queue(0, seconds=0.2)
        with pytest.raises(AtCapacityError, match=r"for 0\.2 s"):
            await read(queue, "a")

    asyncio.run(check())


def test_a_caller_that_leaves_frees_its_place():
    async def check():
        backend, queue = make_queue(0, requests=1)
        (task,) = await start(queue, ["a"])
        await backend.wait_for_tries(1)
        task.cancel()
        await asyncio.wait({task})
        (task,) = await start(queue, ["b"])
        backend.room = 1
        await task
        assert backend.taken == ["b"]

    asyncio.run(check())


def test_a_request_that_continues_a_speech_does_not_wait():
    async def check():
        _, queue = make_queue(0)
        tasks = await start(queue, ["a"])
        assert await read(queue, "next", preceding=Preceding("r", 0.0))
        tasks[0].cancel()

    asyncio.run(check())


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy, wrap=QueueingBackend) as site:
        yield site


@pytest.mark.parametrize("audio_format", ["mp3", "wav"])
def test_openais_client_loses_none_of_many_callers_at_once(site, audio_format):
    with (
        openai.OpenAI(base_url=f"{site.url}/v1", api_key="none") as client,
        ThreadPoolExecutor(CALLERS) as pool,
    ):

        def speak(number):
            text = f"{TEXT}{number}。"
            speech = client.audio.speech.create(model="tts-1", voice="alloy", input=text, response_format=audio_format)
            return len(speech.content)

        assert all(pool.map(speak, range(CALLERS)))


def test_a_complete_file_is_not_begun_after_its_time(site):
    site.backend.configure(QueueConfig(seconds=1e-6))
    try:
        body = {"input": TEXT, "response_format": "wav"}
        status, headers, _ = site.call("POST", "/v1/audio/speech", body)
    finally:
        site.backend.configure(QueueConfig())
    assert (status, headers["Retry-After"]) == (429, "1")
