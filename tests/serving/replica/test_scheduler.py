"""One thread computes for several listeners; the one whose audio runs out first is next."""

import asyncio
import threading
import time
from contextlib import aclosing

import pytest
from kubevoice_serving.domain import AtCapacityError, Preceding, SpeechHead, SynthesisRequest
from kubevoice_serving.replica.scheduler import MAX_PENDING, DeadlineScheduler
from kubevoice_serving.replica.synthesizer import Synthesizer
from scheduled_work import Work, collect, collect_all, wait_for_tasks, wait_until


def test_everything_arrives_in_order():
    assert asyncio.run(collect(DeadlineScheduler(), Work("a", [], chunks=5), 9)) == [0, 1, 2, 3, 4]


def test_the_stream_with_the_least_audio_left_goes_first():
    computed, gate = [], threading.Semaphore(0)

    async def scenario():
        scheduler = DeadlineScheduler()
        early = asyncio.create_task(collect(scheduler, Work("early", computed, gate), 6, seconds=10.0))
        gate.release()  # ten seconds of audio; then the early stream is at its second chunk
        await wait_until(lambda: computed == ["early"])
        late = asyncio.create_task(collect(scheduler, Work("late", computed, gate), 3, seconds=2.0))
        await wait_for_tasks(scheduler, 2)
        for _ in range(40):
            gate.release()
        await asyncio.gather(early, late)

    asyncio.run(scenario())
    # The chunk that is being computed is finished; then the new stream catches up.
    assert computed[:5] == ["early", "early", "late", "late", "late"]


def test_a_new_stream_goes_before_the_rest_of_a_chunk_that_another_has_begun():
    computed, gate = [], threading.Semaphore(0)

    async def scenario():
        scheduler = DeadlineScheduler()
        seconds = iter([10.0, 0.0, 10.0, 0.0, 10.0])
        early = asyncio.create_task(
            collect_all(scheduler, Work("early", computed, gate, chunks=5), lambda _: next(seconds))
        )
        gate.release()
        await wait_until(lambda: computed == ["early"])  # the second item, half a chunk, waits for the gate
        late = asyncio.create_task(collect(scheduler, Work("late", computed, gate, chunks=1), 2))
        await wait_for_tasks(scheduler, 2)
        for _ in range(20):
            gate.release()
        await asyncio.gather(early, late)

    asyncio.run(scenario())
    assert computed == ["early", "early", "late", "early", "early", "early"]


def test_a_stream_has_not_started_before_there_is_audio():
    gate = threading.Semaphore(0)

    async def scenario():
        scheduler = DeadlineScheduler()
        work = Work("a", [], gate, chunks=2)
        listener = asyncio.create_task(collect_all(scheduler, work, lambda _: 0.0))
        gate.release()
        await wait_until(lambda: work.computed)
        assert not scheduler._tasks[0].started
        gate.release()
        await listener

    asyncio.run(scenario())


def test_a_stream_that_continues_a_speech_goes_after_new_streams():
    computed, gate = [], threading.Semaphore(0)

    async def scenario():
        scheduler = DeadlineScheduler()
        continuation = asyncio.create_task(
            collect(scheduler, Work("continuation", computed, gate), 3, seconds=10.0, due_in=30.0)
        )
        await wait_for_tasks(scheduler, 1)
        new_stream = asyncio.create_task(collect(scheduler, Work("new", computed, gate), 5, seconds=10.0))
        await wait_for_tasks(scheduler, 2)
        for _ in range(40):
            gate.release()
        await asyncio.gather(continuation, new_stream)

    asyncio.run(scenario())
    # The first chunk was started before the new stream; it ends 40 s from now, as do four chunks of the new stream.
    assert computed[:6] == ["continuation", "new", "new", "new", "new", "continuation"]


def test_a_late_continuation_does_not_mean_that_the_replica_is_at_capacity():
    gate = threading.Semaphore(0)

    async def scenario():
        scheduler = DeadlineScheduler()
        listener = asyncio.create_task(collect(scheduler, Work("late", [], gate), 2, seconds=0.1, due_in=1e-6))
        await wait_for_tasks(scheduler, 1)
        assert not scheduler.at_capacity
        gate.release()
        await wait_until(lambda: scheduler.at_capacity)
        gate.release()
        await listener

    asyncio.run(scenario())


def test_a_replica_is_at_capacity_when_too_many_streams_wait_for_their_first_chunk():
    gate = threading.Semaphore(0)

    async def scenario():
        scheduler = DeadlineScheduler()
        waiting = []
        for number in range(MAX_PENDING):
            assert not scheduler.at_capacity
            waiting.append(asyncio.create_task(collect(scheduler, Work("new", [], gate), 1, seconds=10.0)))
            await wait_for_tasks(scheduler, number + 1)
        assert scheduler.at_capacity
        for _ in range(40):
            gate.release()
        await asyncio.gather(*waiting)
        assert not scheduler.at_capacity

    asyncio.run(scenario())


def test_a_replica_accepts_as_many_streams_as_it_can_compute_in_real_time():
    gate = threading.Semaphore(0)

    class SlowWork(Work):
        """Computes a chunk in a third of the time that it plays."""

        def __iter__(self):
            time.sleep(0.05)
            yield 0

    async def scenario():
        scheduler = DeadlineScheduler()
        await collect(scheduler, SlowWork("first", []), 9, seconds=0.15)
        assert not scheduler.at_capacity, "no stream runs"
        listeners = []
        for at_capacity in (False, True):
            listeners.append(asyncio.create_task(collect(scheduler, Work("next", [], gate), 1, seconds=10.0)))
            await wait_for_tasks(scheduler, len(listeners))
            assert scheduler.at_capacity == at_capacity
        for _ in range(9):
            gate.release()
        await asyncio.gather(*listeners)

    asyncio.run(scenario())


def test_a_stream_that_continues_a_speech_does_not_count_as_pending():
    gate = threading.Semaphore(0)

    async def scenario():
        scheduler = DeadlineScheduler()
        continuation = [
            asyncio.create_task(collect(scheduler, Work(str(number), [], gate), 1, due_in=60.0))
            for number in range(MAX_PENDING)
        ]
        await wait_for_tasks(scheduler, MAX_PENDING)
        assert not scheduler.at_capacity
        for _ in range(2 * MAX_PENDING):
            gate.release()
        await asyncio.gather(*continuation)

    asyncio.run(scenario())


def test_audio_that_runs_out_goes_before_an_overdue_complete_result():
    computed, gate = [], threading.Semaphore(0)

    async def scenario():
        scheduler = DeadlineScheduler()
        running = asyncio.create_task(collect(scheduler, Work("running", computed, gate, chunks=1), 9))
        await wait_for_tasks(scheduler, 1)
        complete = asyncio.create_task(
            collect(scheduler, Work("complete", computed, gate, chunks=2), 9, due_in=-60.0, streaming=False)
        )
        await wait_for_tasks(scheduler, 2)
        stream = asyncio.create_task(collect(scheduler, Work("stream", computed, gate, chunks=2), 9, seconds=0.01))
        await wait_for_tasks(scheduler, 3)
        for _ in range(20):
            gate.release()
        await asyncio.gather(running, complete, stream)

    asyncio.run(scenario())
    assert computed[:3] == ["running", "stream", "stream"]


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
    computed, gate = [], threading.Semaphore(0)

    async def scenario():
        scheduler = DeadlineScheduler()
        first = asyncio.create_task(
            collect(scheduler, Work("first", computed, gate, 3), 4, due_in=1.0, streaming=False)
        )
        await wait_for_tasks(scheduler, 1)
        second = asyncio.create_task(
            collect(scheduler, Work("second", computed, gate, 3), 4, due_in=1.0, streaming=False)
        )
        stream = asyncio.create_task(collect(scheduler, Work("stream", computed, gate, 1), 2, seconds=60.0))
        await wait_for_tasks(scheduler, 3)
        for _ in range(7):
            gate.release()
        await asyncio.gather(first, second, stream)

    asyncio.run(scenario())
    assert computed == ["first", "stream", "first", "first", "second", "second", "second"]


def test_an_exception_reaches_the_listener_whose_work_raised_it():
    def fail():
        yield 1
        raise KeyError("gone")

    async def scenario():
        scheduler = DeadlineScheduler()
        other = asyncio.create_task(collect(scheduler, Work("other", [], chunks=50), 99))
        with pytest.raises(KeyError, match="gone"):
            await collect(scheduler, fail(), 2)
        assert len(await other) == 50

    asyncio.run(scenario())


def test_work_of_a_listener_who_leaves_is_cancelled():
    computed = []

    async def scenario():
        scheduler = DeadlineScheduler()
        await collect(scheduler, Work("cancelled", computed), 3)
        await collect(scheduler, Work("next", computed, chunks=3), 9)
        count_before = computed.count("cancelled")
        await collect(scheduler, Work("last", computed, chunks=3), 9)
        assert computed.count("cancelled") == count_before

    asyncio.run(scenario())


def test_a_replica_is_at_capacity_when_audio_has_run_out():
    gate = threading.Semaphore(1)

    async def scenario():
        scheduler = DeadlineScheduler()
        listener = asyncio.create_task(collect(scheduler, Work("a", [], gate), 2, seconds=0.1))
        assert not scheduler.at_capacity
        await wait_until(lambda: scheduler.at_capacity)
        gate.release()
        gate.release()
        await listener

    asyncio.run(scenario())
