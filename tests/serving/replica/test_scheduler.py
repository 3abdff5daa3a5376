"""One thread speaks for several listeners: whose audio runs out first goes first."""

import asyncio
import threading
import time
from contextlib import aclosing
from itertools import count

import pytest
from kubevoice_serving.domain import Full, Preceding, SpeechHead, SpeechJob
from kubevoice_serving.replica.scheduler import NEWCOMERS, Turns
from kubevoice_serving.replica.synthesizer import Synthesizer


class Work:
    """Endless pieces, whose making waits until it is allowed; `made` tells in which order, for all listeners."""

    def __init__(self, name, made, gate=None, pieces=None):
        self.name, self.made, self.gate, self.pieces = name, made, gate, pieces

    def __iter__(self):
        for number in count() if self.pieces is None else range(self.pieces):
            if self.gate:
                self.gate.acquire()
            self.made.append(self.name)
            yield number


async def take(turns, work, number, seconds=1.0, **options):
    pieces = turns.of(iter(work), lambda _: seconds, **options)
    found = [piece async for piece, _ in zip_async(pieces, range(number))]
    await pieces.aclose()
    return found


async def take_all(turns, work, seconds):
    return [piece async for piece in turns.of(iter(work), seconds)]


async def zip_async(pieces, numbers):
    for number in numbers:
        try:
            yield await anext(pieces), number
        except StopAsyncIteration:
            return


async def until(condition):
    while not condition():  # noqa: ASYNC110  # what is waited for happens in another thread
        await asyncio.sleep(0.01)


async def listening(turns, number):
    await until(lambda: len(turns._listeners) == number)


def test_everything_arrives_in_order():
    assert asyncio.run(take(Turns(), Work("a", [], pieces=5), 9)) == [0, 1, 2, 3, 4]


def test_who_has_least_audio_left_goes_first():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        turns = Turns()
        early = asyncio.create_task(take(turns, Work("early", made, gate), 6, seconds=10.0))
        gate.release()  # ten seconds of audio for the early one, who is at its second piece then
        await until(lambda: made == ["early"])
        late = asyncio.create_task(take(turns, Work("late", made, gate), 3, seconds=2.0))
        await listening(turns, 2)
        for _ in range(40):
            gate.release()
        await asyncio.gather(early, late)

    asyncio.run(scene())
    # The piece at work is finished; then the newcomer, until he has as much.
    assert made[:5] == ["early", "early", "late", "late", "late"]


def test_a_newcomer_goes_before_the_rest_of_a_piece_that_another_has_begun():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        turns = Turns()
        seconds = iter([10.0, 0.0, 10.0, 0.0, 10.0])
        early = asyncio.create_task(take_all(turns, Work("early", made, gate, pieces=5), lambda _: next(seconds)))
        gate.release()
        await until(lambda: made == ["early"])  # and the second one, which is only half a piece, waits for the gate
        late = asyncio.create_task(take(turns, Work("late", made, gate, pieces=1), 2))
        await listening(turns, 2)
        for _ in range(20):
            gate.release()
        await asyncio.gather(early, late)

    asyncio.run(scene())
    assert made == ["early", "early", "late", "early", "early", "early"]


def test_a_stream_has_not_begun_before_there_is_something_to_hear():
    gate = threading.Semaphore(0)

    async def scene():
        turns = Turns()
        work = Work("a", [], gate, pieces=2)
        listener = asyncio.create_task(take_all(turns, work, lambda _: 0.0))
        gate.release()
        await until(lambda: work.made)
        assert not turns._listeners[0].heard
        gate.release()
        await listener

    asyncio.run(scene())


def test_who_still_hears_what_came_before_goes_after_newcomers():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        turns = Turns()
        going_on = asyncio.create_task(take(turns, Work("going on", made, gate), 3, seconds=10.0, lead=30.0))
        await listening(turns, 1)
        newcomer = asyncio.create_task(take(turns, Work("newcomer", made, gate), 5, seconds=10.0))
        await listening(turns, 2)
        for _ in range(40):
            gate.release()
        await asyncio.gather(going_on, newcomer)

    asyncio.run(scene())
    # The first piece was begun before the newcomer came; it ends 40 s from now, and so do four of the newcomer's.
    assert made[:6] == ["going on", "newcomer", "newcomer", "newcomer", "newcomer", "going on"]


def test_who_came_too_late_to_go_on_without_a_gap_is_no_sign_of_too_much_to_do():
    gate = threading.Semaphore(0)

    async def scene():
        turns = Turns()
        listener = asyncio.create_task(take(turns, Work("late", [], gate), 2, seconds=0.1, lead=1e-6))
        await listening(turns, 1)
        assert not turns.full
        gate.release()
        await until(lambda: turns.full)
        gate.release()
        await listener

    asyncio.run(scene())


def test_a_replica_is_full_when_too_many_wait_for_their_first_piece():
    gate = threading.Semaphore(0)

    async def scene():
        turns = Turns()
        waiting = []
        for number in range(NEWCOMERS):
            assert not turns.full
            waiting.append(asyncio.create_task(take(turns, Work("new", [], gate), 1, seconds=10.0)))
            await listening(turns, number + 1)
        assert turns.full
        for _ in range(40):
            gate.release()
        await asyncio.gather(*waiting)
        assert not turns.full

    asyncio.run(scene())


def test_a_replica_takes_as_many_streams_as_it_can_speak_for_while_they_listen():
    gate = threading.Semaphore(0)

    class Slow(Work):
        """A piece takes a third of the time that one listens to it."""

        def __iter__(self):
            time.sleep(0.05)
            yield 0

    async def scene():
        turns = Turns()
        await take(turns, Slow("first", []), 9, seconds=0.15)
        assert not turns.full, "nobody listens"
        listeners = []
        for taken in (False, True):
            listeners.append(asyncio.create_task(take(turns, Work("next", [], gate), 1, seconds=10.0)))
            await listening(turns, len(listeners))
            assert turns.full == taken
        for _ in range(9):
            gate.release()
        await asyncio.gather(*listeners)

    asyncio.run(scene())


def test_who_still_hears_what_came_before_is_not_waiting_for_a_first_piece():
    gate = threading.Semaphore(0)

    async def scene():
        turns = Turns()
        going_on = [
            asyncio.create_task(take(turns, Work(str(number), [], gate), 1, lead=60.0)) for number in range(NEWCOMERS)
        ]
        await listening(turns, NEWCOMERS)
        assert not turns.full
        for _ in range(2 * NEWCOMERS):
            gate.release()
        await asyncio.gather(*going_on)

    asyncio.run(scene())


def test_audio_that_runs_out_goes_before_what_is_made_whole_however_late():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        turns = Turns()
        working = asyncio.create_task(take(turns, Work("at work", made, gate, pieces=1), 9))
        await listening(turns, 1)
        whole = asyncio.create_task(take(turns, Work("whole", made, gate, pieces=2), 9, lead=-60.0, whole=True))
        await listening(turns, 2)
        stream = asyncio.create_task(take(turns, Work("stream", made, gate, pieces=2), 9, seconds=0.01))
        await listening(turns, 3)
        for _ in range(20):
            gate.release()
        await asyncio.gather(working, whole, stream)

    asyncio.run(scene())
    assert made[:3] == ["at work", "stream", "stream"]


def test_a_crowded_replica_refuses_newcomers_and_not_who_listens(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(Turns, "full", property(lambda _: True))

    async def begun(**fields):
        replica = Synthesizer(tmp_path / "cache")
        voice = {"name": "toy", "revision": toy.digest, "uri": str(toy.path)}
        await replica.reconfigure({"voices": [voice]})
        async with aclosing(replica.stream(SpeechJob("你好。", **fields))) as items:
            return await anext(items)

    assert asyncio.run(begun()) == Full()
    assert isinstance(asyncio.run(begun(preceding=Preceding(toy.digest, 0.5))), SpeechHead)


def test_requests_answered_whole_go_one_after_the_other_and_after_newcomers():
    made, gate = [], threading.Semaphore(0)

    async def scene():
        turns = Turns()
        first = asyncio.create_task(take(turns, Work("first", made, gate, 3), 4, lead=1.0, whole=True))
        await listening(turns, 1)
        second = asyncio.create_task(take(turns, Work("second", made, gate, 3), 4, lead=1.0, whole=True))
        stream = asyncio.create_task(take(turns, Work("stream", made, gate, 1), 2, seconds=60.0))
        await listening(turns, 3)
        for _ in range(7):
            gate.release()
        await asyncio.gather(first, second, stream)

    asyncio.run(scene())
    assert made == ["first", "stream", "first", "first", "second", "second", "second"]


def test_what_goes_wrong_reaches_the_one_it_is_about():
    def broken():
        yield 1
        raise KeyError("gone")

    async def scene():
        turns = Turns()
        fine = asyncio.create_task(take(turns, Work("fine", [], pieces=50), 99))
        with pytest.raises(KeyError, match="gone"):
            await take(turns, broken(), 2)
        assert len(await fine) == 50

    asyncio.run(scene())


def test_a_listener_who_leaves_is_no_longer_spoken_for():
    made = []

    async def scene():
        turns = Turns()
        await take(turns, Work("gone", made), 3)
        await take(turns, Work("next", made, pieces=3), 9)
        before = made.count("gone")
        await take(turns, Work("last", made, pieces=3), 9)
        assert made.count("gone") == before

    asyncio.run(scene())


def test_it_is_known_when_somebodys_audio_has_run_out():
    gate = threading.Semaphore(1)

    async def scene():
        turns = Turns()
        listener = asyncio.create_task(take(turns, Work("a", [], gate), 2, seconds=0.1))
        assert not turns.full
        await until(lambda: turns.full)
        gate.release()
        gate.release()
        await listener

    asyncio.run(scene())
