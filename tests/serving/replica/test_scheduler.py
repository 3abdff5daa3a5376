"""One thread computes for several listeners: whose audio runs out first goes first."""

import asyncio
import threading
import time
from contextlib import aclosing
from itertools import count

import pytest
from kubevoice_serving.domain import AtCapacityError, Preceding, SpeechHead, SynthesisRequest
from kubevoice_serving.replica.scheduler import MAX_PENDING, DeadlineScheduler
from kubevoice_serving.replica.synthesizer import Synthesizer


class Work:
    """Endless chunks, each made when the gate lets it; `made` has the order in which they were, for all listeners."""

    def __init__(self, name, made, gate=None, chunks=None):
        self.name, self.made, self.gate, self.chunks = name, made, gate, chunks

    def __iter__(self):
        for number in count() if self.chunks is None else range(self.chunks):
            if self.gate:
                self.gate.acquire()
            self.made.append(self.name)
            yield number


async def take(scheduler, work, number, seconds=1.0, **options):
    chunks = scheduler.submit(iter(work), lambda _: seconds, **options)
    taken_chunks = [chunk async for chunk, _ in zip_async(chunks, range(number))]
    await chunks.aclose()
    return taken_chunks


async def take_all(scheduler, work, seconds):
    return [chunk async for chunk in scheduler.submit(iter(work), seconds)]


async def zip_async(chunks, numbers):
    for number in numbers:
        try:
            yield await anext(chunks), number
        except StopAsyncIteration:
            return


async def until(condition):
    while not condition():  # noqa: ASYNC110  # what is waited for happens in another thread
        await asyncio.sleep(0.01)


async def serve_app(scheduler, number):
    await until(lambda: len(scheduler._tasks) == number)


def test_everything_arrives_in_order():
    assert asyncio.run(take(DeadlineScheduler(), Work("a", [], chunks=5), 9)) == [0, 1, 2, 3, 4]


def test_the_stream_with_the_least_audio_left_goes_first():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        scheduler = DeadlineScheduler()
        early = asyncio.create_task(take(scheduler, Work("early", made, gate), 6, seconds=10.0))
        gate.release()  # ten seconds of audio for the early one, who is at its second chunk then
        await until(lambda: made == ["early"])
        late = asyncio.create_task(take(scheduler, Work("late", made, gate), 3, seconds=2.0))
        await serve_app(scheduler, 2)
        for _ in range(40):
            gate.release()
        await asyncio.gather(early, late)

    asyncio.run(scene())
    # The chunk that is being computed is finished; then the new stream catches up.
    assert made[:5] == ["early", "early", "late", "late", "late"]


def test_a_new_stream_goes_before_the_rest_of_a_chunk_that_another_has_begun():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        scheduler = DeadlineScheduler()
        seconds = iter([10.0, 0.0, 10.0, 0.0, 10.0])
        early = asyncio.create_task(take_all(scheduler, Work("early", made, gate, chunks=5), lambda _: next(seconds)))
        gate.release()
        await until(lambda: made == ["early"])  # and the second one, which is only half a chunk, waits for the gate
        late = asyncio.create_task(take(scheduler, Work("late", made, gate, chunks=1), 2))
        await serve_app(scheduler, 2)
        for _ in range(20):
            gate.release()
        await asyncio.gather(early, late)

    asyncio.run(scene())
    assert made == ["early", "early", "late", "early", "early", "early"]


def test_a_stream_has_not_started_before_there_is_audio():
    gate = threading.Semaphore(0)

    async def scene():
        scheduler = DeadlineScheduler()
        work = Work("a", [], gate, chunks=2)
        listener = asyncio.create_task(take_all(scheduler, work, lambda _: 0.0))
        gate.release()
        await until(lambda: work.made)
        assert not scheduler._tasks[0].started
        gate.release()
        await listener

    asyncio.run(scene())


def test_a_stream_that_continues_a_speech_goes_after_new_streams():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        scheduler = DeadlineScheduler()
        going_on = asyncio.create_task(take(scheduler, Work("going on", made, gate), 3, seconds=10.0, due_in=30.0))
        await serve_app(scheduler, 1)
        newcomer = asyncio.create_task(take(scheduler, Work("newcomer", made, gate), 5, seconds=10.0))
        await serve_app(scheduler, 2)
        for _ in range(40):
            gate.release()
        await asyncio.gather(going_on, newcomer)

    asyncio.run(scene())
    # The first chunk was begun before the newcomer came; it ends 40 s from now, and so do four of the newcomer's.
    assert made[:6] == ["going on", "newcomer", "newcomer", "newcomer", "newcomer", "going on"]


def test_a_late_continuation_does_not_mean_that_the_replica_is_at_capacity():
    gate = threading.Semaphore(0)

    async def scene():
        scheduler = DeadlineScheduler()
        listener = asyncio.create_task(take(scheduler, Work("late", [], gate), 2, seconds=0.1, due_in=1e-6))
        await serve_app(scheduler, 1)
        assert not scheduler.at_capacity
        gate.release()
        await until(lambda: scheduler.at_capacity)
        gate.release()
        await listener

    asyncio.run(scene())


def test_a_replica_is_at_capacity_when_too_many_streams_wait_for_their_first_chunk():
    gate = threading.Semaphore(0)

    async def scene():
        scheduler = DeadlineScheduler()
        waiting = []
        for number in range(MAX_PENDING):
            assert not scheduler.at_capacity
            waiting.append(asyncio.create_task(take(scheduler, Work("new", [], gate), 1, seconds=10.0)))
            await serve_app(scheduler, number + 1)
        assert scheduler.at_capacity
        for _ in range(40):
            gate.release()
        await asyncio.gather(*waiting)
        assert not scheduler.at_capacity

    asyncio.run(scene())


def test_a_replica_takes_as_many_streams_as_it_can_compute_in_real_time():
    gate = threading.Semaphore(0)

    class Slow(Work):
        """A chunk takes a third of the time that one listens to it."""

        def __iter__(self):
            time.sleep(0.05)
            yield 0

    async def scene():
        scheduler = DeadlineScheduler()
        await take(scheduler, Slow("first", []), 9, seconds=0.15)
        assert not scheduler.at_capacity, "no stream runs"
        listeners = []
        for taken in (False, True):
            listeners.append(asyncio.create_task(take(scheduler, Work("next", [], gate), 1, seconds=10.0)))
            await serve_app(scheduler, len(listeners))
            assert scheduler.at_capacity == taken
        for _ in range(9):
            gate.release()
        await asyncio.gather(*listeners)

    asyncio.run(scene())


def test_a_stream_that_continues_a_speech_does_not_count_as_pending():
    gate = threading.Semaphore(0)

    async def scene():
        scheduler = DeadlineScheduler()
        going_on = [
            asyncio.create_task(take(scheduler, Work(str(number), [], gate), 1, due_in=60.0))
            for number in range(MAX_PENDING)
        ]
        await serve_app(scheduler, MAX_PENDING)
        assert not scheduler.at_capacity
        for _ in range(2 * MAX_PENDING):
            gate.release()
        await asyncio.gather(*going_on)

    asyncio.run(scene())


def test_audio_that_runs_out_goes_before_an_overdue_complete_result():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        scheduler = DeadlineScheduler()
        working = asyncio.create_task(take(scheduler, Work("at work", made, gate, chunks=1), 9))
        await serve_app(scheduler, 1)
        whole = asyncio.create_task(take(scheduler, Work("whole", made, gate, chunks=2), 9, due_in=-60.0, whole=True))
        await serve_app(scheduler, 2)
        stream = asyncio.create_task(take(scheduler, Work("stream", made, gate, chunks=2), 9, seconds=0.01))
        await serve_app(scheduler, 3)
        for _ in range(20):
            gate.release()
        await asyncio.gather(working, whole, stream)

    asyncio.run(scene())
    assert made[:3] == ["at work", "stream", "stream"]


def test_a_replica_at_capacity_refuses_new_streams_and_not_continued_ones(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(DeadlineScheduler, "at_capacity", property(lambda _: True))

    async def start_replica(**fields):
        replica = Synthesizer(tmp_path / "cache")
        voice = {"name": "toy", "revision": toy.digest, "uri": str(toy.path)}
        await replica.reconfigure({"voices": [voice]})
        async with aclosing(replica.stream(SynthesisRequest("你好。", **fields))) as items:
            return await anext(items)

    assert isinstance(asyncio.run(start_replica()), AtCapacityError)
    assert isinstance(asyncio.run(start_replica(preceding=Preceding(toy.digest, 0.5))), SpeechHead)


def test_complete_results_are_computed_one_after_the_other_and_after_new_streams():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        scheduler = DeadlineScheduler()
        first = asyncio.create_task(take(scheduler, Work("first", made, gate, 3), 4, due_in=1.0, whole=True))
        await serve_app(scheduler, 1)
        second = asyncio.create_task(take(scheduler, Work("second", made, gate, 3), 4, due_in=1.0, whole=True))
        stream = asyncio.create_task(take(scheduler, Work("stream", made, gate, 1), 2, seconds=60.0))
        await serve_app(scheduler, 3)
        for _ in range(7):
            gate.release()
        await asyncio.gather(first, second, stream)

    asyncio.run(scene())
    assert made == ["first", "stream", "first", "first", "second", "second", "second"]


def test_an_exception_reaches_the_listener_whose_work_raised_it():
    def broken():
        yield 1
        raise KeyError("gone")

    async def scene():
        scheduler = DeadlineScheduler()
        fine = asyncio.create_task(take(scheduler, Work("fine", [], chunks=50), 99))
        with pytest.raises(KeyError, match="gone"):
            await take(scheduler, broken(), 2)
        assert len(await fine) == 50

    asyncio.run(scene())


def test_work_of_a_listener_who_leaves_is_cancelled():
    made = []

    async def scene():
        scheduler = DeadlineScheduler()
        await take(scheduler, Work("gone", made), 3)
        await take(scheduler, Work("next", made, chunks=3), 9)
        before = made.count("gone")
        await take(scheduler, Work("last", made, chunks=3), 9)
        assert made.count("gone") == before

    asyncio.run(scene())


def test_a_replica_is_at_capacity_when_audio_has_run_out():
    gate = threading.Semaphore(1)

    async def scene():
        scheduler = DeadlineScheduler()
        listener = asyncio.create_task(take(scheduler, Work("a", [], gate), 2, seconds=0.1))
        assert not scheduler.at_capacity
        await until(lambda: scheduler.at_capacity)
        gate.release()
        gate.release()
        await listener

    asyncio.run(scene())
