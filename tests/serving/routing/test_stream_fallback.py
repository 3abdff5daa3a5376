"""A stream that the canary does not begin comes from the stable replicas.

Stubs stand for the handles of both tracks: a real replica is at capacity, or dies before its first item, by chance.
"""

import asyncio
import warnings

import pytest
from kubevoice.resources.data_plane import Track
from kubevoice_serving.domain import AtCapacityError, UnavailableError
from kubevoice_serving.routing.traffic import TrafficCounter

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Ray's own models
    from kubevoice_serving.routing.canary import CanaryGoneError
    from kubevoice_serving.routing.ray_backend import RayBackend
    from ray.exceptions import RayActorError


class Call:
    """The stream of a replica: yields items, and raises those that are exceptions of Ray."""

    def __init__(self, *items):
        self._items = iter(items)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            item = next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None
        if isinstance(item, RayActorError):
            raise item
        return item

    def cancel(self):
        pass


class Stable:
    def options(self, **_):
        return self

    @property
    def stream(self):
        return self

    def remote(self, _):
        return Call("stable 1", "stable 2")


class Canary:
    def __init__(self, outcome):
        self._outcome = outcome

    def should_route(self, _):
        return True

    async def stream(self, _):
        if isinstance(self._outcome, CanaryGoneError):
            raise self._outcome
        return Call(*self._outcome)


def stream(outcome):
    backend = RayBackend(Stable())
    backend._canary = Canary(outcome)
    backend._counters = {track: TrafficCounter() for track in Track}

    async def collect():
        return [item async for item in backend.stream(None)]

    return asyncio.run(collect())


@pytest.mark.parametrize(
    "outcome",
    [CanaryGoneError(), [AtCapacityError()], [RayActorError()]],
    ids=["gone", "at capacity", "died"],
)
def test_a_canary_that_does_not_begin_leaves_the_stream_to_the_stable_replicas(outcome):
    assert stream(outcome) == ["stable 1", "stable 2"]


def test_a_stream_that_the_canary_has_begun_is_its_own():
    assert stream(["canary 1", "canary 2"]) == ["canary 1", "canary 2"]
    with pytest.raises(UnavailableError):
        stream(["canary 1", RayActorError()])
