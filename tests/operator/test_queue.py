"""The work queue: one worker at a time handles a key, and no key is lost."""

import asyncio
from collections import Counter

from kubevoice_operator.cluster.queue import WorkQueue


def run_with_workers(test, handle, workers=3):
    """Run `test(queue)` while workers handle keys."""

    async def run_test():
        queue = WorkQueue()
        tasks = [asyncio.create_task(queue.run_worker(lambda key: handle(queue, key))) for _ in range(workers)]
        await asyncio.wait_for(test(queue), 5)
        for task in tasks:
            task.cancel()

    asyncio.run(run_test())


async def wait_until(predicate):
    while not predicate():  # noqa: ASYNC110  # the queue has no event to wait for
        await asyncio.sleep(0)


async def wait_until_idle(queue):
    await wait_until(lambda: not (len(queue) or queue._busy or queue._timers))


def test_a_key_that_waits_is_not_queued_twice():
    handled = Counter()

    async def handle(_, key):
        handled[key] += 1

    async def test(queue):
        for key in "aabab":
            queue.add(key)
        assert len(queue) == 2
        await wait_until_idle(queue)

    run_with_workers(test, handle)
    assert handled == {"a": 1, "b": 1}


def test_a_key_that_is_added_while_it_is_handled_is_handled_once_more_afterwards():
    running, most, handled = Counter(), Counter(), Counter()

    async def handle(queue, key):
        running[key] += 1
        most[key] = max(most[key], running[key])
        if handled[key] < 2:
            queue.add(key)
            queue.add(key)
        await asyncio.sleep(0.001)
        running[key] -= 1
        handled[key] += 1

    async def test(queue):
        queue.add("a")
        queue.add("b")
        await wait_until_idle(queue)

    run_with_workers(test, handle)
    assert most == {"a": 1, "b": 1}
    assert handled == {"a": 3, "b": 3}


def test_a_delay_can_be_shortened_but_not_extended():
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
        await wait_until_idle(queue)

    run_with_workers(test, handle)
    assert handled == ["now", "fast", "slow"]


def test_a_key_that_is_handled_does_not_delay_others():
    gate, handled = asyncio.Event(), []

    async def handle(_, key):
        if key == "slow":
            await gate.wait()
        handled.append(key)

    async def test(queue):
        queue.add("slow")
        queue.add("fast")
        await wait_until(lambda: handled == ["fast"])
        gate.set()
        await wait_until_idle(queue)

    run_with_workers(test, handle, workers=2)
    assert handled == ["fast", "slow"]


def test_wait_idle_waits_for_keys_that_are_due_or_handled():
    started, gate, remaining = asyncio.Event(), asyncio.Event(), []

    async def handle(queue, key):
        started.set()
        await gate.wait()
        if key == "first":
            queue.add("second")

    async def test(queue):
        await queue.wait_idle()
        queue.add("first")
        waiting = asyncio.create_task(queue.wait_idle())
        await started.wait()
        assert not waiting.done()
        gate.set()
        await waiting
        remaining.append(len(queue) or len(queue._busy))
        await queue.wait_idle()

    run_with_workers(test, handle)
    assert remaining == [0]
