"""Work for a scheduler, and functions that collect its chunks."""

import asyncio
from itertools import count


class Work:
    """Numbered chunks, endless without `chunks`. Each waits for the gate and adds the name to `computed`."""

    def __init__(self, name, computed, gate=None, chunks=None):
        self.name, self.computed, self.gate, self.chunks = name, computed, gate, chunks

    def __iter__(self):
        for number in count() if self.chunks is None else range(self.chunks):
            if self.gate:
                self.gate.acquire()
            self.computed.append(self.name)
            yield number


async def collect(scheduler, work, number, seconds=1.0, **options):
    chunks = scheduler.submit(iter(work), lambda _: seconds, **options)
    items = [chunk async for chunk, _ in zip_async(chunks, range(number))]
    await chunks.aclose()
    return items


async def collect_all(scheduler, work, seconds):
    return [chunk async for chunk in scheduler.submit(iter(work), seconds)]


async def zip_async(chunks, numbers):
    for number in numbers:
        try:
            yield await anext(chunks), number
        except StopAsyncIteration:
            return


async def wait_until(condition):
    while not condition():  # noqa: ASYNC110  # another thread changes the condition
        await asyncio.sleep(0.01)


async def wait_for_tasks(scheduler, number):
    await wait_until(lambda: len(scheduler._tasks) == number)
