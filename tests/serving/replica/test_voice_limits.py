"""A flood of one voice is limited, and does not delay the others."""

import asyncio

import pytest
from kubevoice.resources.data_plane import VoiceConfig
from kubevoice_serving.domain import AtCapacityError
from kubevoice_serving.replica.voice_limits import VoiceLimits


def make_limits(**limits):
    voice_limits = VoiceLimits()
    voice_limits.configure([VoiceConfig(name="busy", revision=f"sha256:{'0' * 64}", uri="/", **limits)])
    return voice_limits


async def run_requests(limits, name, number, running, done, **options):
    async def request(index):
        async with limits.admit(name, **options):
            running.append(index)
            await done.wait()
        return index

    tasks = [asyncio.create_task(request(index)) for index in range(number)]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def test_requests_beyond_the_limit_wait_in_order_and_more_are_refused():
    async def scenario():
        limits, running, done = make_limits(max_streams=2, max_queued=3), [], asyncio.Event()
        tasks = await run_requests(limits, "busy", 7, running, done)
        assert running == [0, 1]
        assert all(isinstance(task.exception(), AtCapacityError) for task in tasks[5:])
        others = await run_requests(limits, "other", 4, running, done)
        assert len(running) == 6
        await run_requests(limits, "busy", 1, running, done, continues=True)
        assert len(running) == 7
        done.set()
        assert await asyncio.gather(*tasks[:5], *others) == [0, 1, 2, 3, 4, 0, 1, 2, 3]
        assert not limits._loads

    asyncio.run(scenario())


def test_a_request_that_leaves_frees_its_place():
    async def scenario():
        limits, running, done = make_limits(max_streams=1), [], asyncio.Event()
        first, second, third = await run_requests(limits, "busy", 3, running, done)
        second.cancel()
        first.cancel()
        await asyncio.wait({first, second})
        for _ in range(5):
            await asyncio.sleep(0)
        assert running == [0, 2]
        done.set()
        assert await third == 2
        with pytest.raises(asyncio.CancelledError):
            await second
        assert not limits._loads

    asyncio.run(scenario())
