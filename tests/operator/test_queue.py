"""Keys are worked on one at a time each, and never lost."""

import asyncio
from collections import Counter

from kubevoice_operator.cluster.queue import WorkQueue


def working(test, handle, workers=3):
    """Run `test(queue)` while workers handle keys."""

    async def both():
        queue = WorkQueue()
        tasks = [asyncio.create_task(queue.run_worker(lambda key: handle(queue, key))) for _ in range(workers)]
        await asyncio.wait_for(test(queue), 5)
        for task in tasks:
            task.cancel()

    asyncio.run(both())


async def until(predicate):
    while not predicate():  # noqa: ASYNC110  # the event is in what is tested
        await asyncio.sleep(0)


async def idle(queue):
    await until(lambda: not (len(queue) or queue._busy or queue._timers))


def test_a_key_that_waits_is_not_queued_twice():
    done = Counter()

    async def handle(_, key):
        done[key] += 1

    async def test(queue):
        for key in "aabab":
            queue.add(key)
        assert len(queue) == 2
        await idle(queue)

    working(test, handle)
    assert done == {"a": 1, "b": 1}


def test_what_comes_while_a_key_is_worked_on_is_done_once_more_and_never_beside_it():
    running, most, done = Counter(), Counter(), Counter()

    async def handle(queue, key):
        running[key] += 1
        most[key] = max(most[key], running[key])
        if done[key] < 2:
            queue.add(key)
            queue.add(key)
        await asyncio.sleep(0.001)
        running[key] -= 1
        done[key] += 1

    async def test(queue):
        queue.add("a")
        queue.add("b")
        await idle(queue)

    working(test, handle)
    assert most == {"a": 1, "b": 1}
    assert done == {"a": 3, "b": 3}


def test_later_becomes_sooner_but_not_later():
    handled = []

    async def handle(_, key):
        handled.append(key)

    async def test(queue):
        queue.add_later("slow", 0.05)
        queue.add_later("slow", 60)
        queue.add_later("fast", 60)
        queue.add_later("fast", 0.001)
        queue.add_later("now", 60)
        queue.add("now")
        queue.add_later("never", 60)
        queue.cancel("never")
        await idle(queue)

    working(test, handle)
    assert handled == ["now", "fast", "slow"]


def test_a_key_that_is_busy_does_not_keep_others():
    held, handled = asyncio.Event(), []

    async def handle(_, key):
        if key == "slow":
            await held.wait()
        handled.append(key)

    async def test(queue):
        queue.add("slow")
        queue.add("fast")
        await until(lambda: handled == ["fast"])
        held.set()
        await idle(queue)

    working(test, handle, workers=2)
    assert handled == ["fast", "slow"]


def test_who_waits_for_rest_waits_for_keys_that_are_due_and_worked_on():
    begun, go, rested = asyncio.Event(), asyncio.Event(), []

    async def handle(queue, key):
        begun.set()
        await go.wait()
        if key == "first":
            queue.add("second")

    async def test(queue):
        await queue.wait_idle()
        queue.add("first")
        waiting = asyncio.create_task(queue.wait_idle())
        await begun.wait()
        assert not waiting.done()
        go.set()
        await waiting
        rested.append(len(queue) or len(queue._busy))
        await queue.wait_idle()

    working(test, handle)
    assert rested == [0]
