"""Single flight: one computation for equal requests, its cancellation and its exceptions."""

import asyncio

from kubevoice_serving.routing.single_flight import SingleFlight


def test_equal_computations_run_once_and_are_cancelled_when_nobody_waits():
    calls, cancellations = [], []

    async def compute():
        calls.append(1)
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            cancellations.append(1)
            raise
        return "speech"

    async def scenario():
        single_flight = SingleFlight()
        assert await asyncio.gather(*(single_flight.do("a", compute) for _ in range(5))) == ["speech"] * 5
        assert len(calls) == 1
        first, second = (asyncio.create_task(single_flight.do("a", compute)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "speech"  # although the first caller was cancelled
        assert len(calls) == 2
        only_caller = asyncio.create_task(single_flight.do("a", compute))
        await asyncio.sleep(0.01)
        only_caller.cancel()
        await asyncio.gather(only_caller, return_exceptions=True)
        await asyncio.sleep(0)
        assert cancellations == [1]
        assert await single_flight.do("a", compute) == "speech"

    asyncio.run(scenario())


def test_an_exception_reaches_every_waiting_caller_and_is_not_stored():
    async def fail():
        await asyncio.sleep(0.01)
        raise KeyError("gone")

    async def scenario():
        single_flight = SingleFlight()
        outcomes = await asyncio.gather(*(single_flight.do("a", fail) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [KeyError] * 3

    asyncio.run(scenario())
