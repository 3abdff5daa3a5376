"""One operator leads: by the Lease, and by its own monotonic clock alone."""

import asyncio
import itertools
from copy import deepcopy

import pytest
from kubevoice_operator.cluster import leader
from kubevoice_operator.cluster.leader import Election


class Clock:
    """Time that passes when somebody says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Server:
    """A Lease with the API server's optimistic concurrency; `down` is why it does not answer, if so."""

    def __init__(self):
        self.kept, self.version, self.down, self.writes = None, 0, None, 0

    async def read_lease(self):
        if self.down:
            raise self.down
        return deepcopy(self.kept)

    async def write_lease(self, lease):
        if self.down:
            raise self.down
        known = lease.get("metadata", {}).get("resourceVersion", 0)
        if known != self.version:
            return False
        self.version += 1
        self.writes += 1
        self.kept = {"metadata": {"resourceVersion": self.version}, "spec": deepcopy(lease["spec"])}
        return True

    @property
    def holder(self):
        return self.kept["spec"]["holderIdentity"] if self.kept else None


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def candidate(server, clock):
    def make(name):
        return Election(server, name, retry=0.001, clock=clock)

    return make


async def until(predicate):
    while not predicate():  # noqa: ASYNC110  # the event is in what is tested
        await asyncio.sleep(0)


def attempt(election):
    return asyncio.run(election._try_acquire_or_renew())


def test_the_first_leads_and_the_second_waits_while_it_renews(server, clock, candidate):
    one, two = candidate("one"), candidate("two")
    assert attempt(one)
    for _ in range(20):
        clock.now += 2
        assert not attempt(two)
        assert attempt(one)
    assert server.holder == "one"
    assert server.kept["spec"]["leaseTransitions"] == 1


def test_a_holder_that_is_silent_is_believed_for_the_duration_and_no_longer(server, clock, candidate):
    one, two = candidate("one"), candidate("two")
    attempt(one)
    assert not attempt(two)
    clock.now += two.duration - 0.1
    assert not attempt(two)
    clock.now += 0.2
    assert attempt(two)
    assert server.kept["spec"]["leaseTransitions"] == 2


def test_silence_counts_from_when_this_candidate_saw_it(server, clock, candidate):
    attempt(candidate("one"))
    clock.now += 3600
    late = candidate("late")
    assert not attempt(late), "the holder may be alive: its wall clock proves nothing"
    clock.now += late.duration + 0.1
    assert attempt(late)


@pytest.mark.parametrize("year", [1970, 2100])
def test_a_wall_clock_that_jumps_changes_nothing(server, clock, candidate, monkeypatch, year):
    one, two = candidate("one"), candidate("two")
    attempt(one)
    attempt(two)
    moments = itertools.count()
    monkeypatch.setattr(leader, "_timestamp", lambda: f"{year}-01-01T00:00:00.{next(moments):06}Z")
    for _ in range(10):
        clock.now += 2
        assert attempt(one)
        assert not attempt(two)
    server.kept["spec"] |= {"renewTime": "2000-01-01T00:00:00.000000Z"}
    assert not attempt(two), "another time is a sign of life, whatever it says"


def test_of_two_that_take_a_free_lease_one_gets_it(server, candidate):
    one, two = candidate("one"), candidate("two")

    async def both():
        return await asyncio.gather(one._try_acquire_or_renew(), two._try_acquire_or_renew())

    assert sorted(asyncio.run(both())) == [False, True]
    assert server.writes == 1


def test_a_lease_that_is_released_is_taken_at_once(server, candidate):
    one, two = candidate("one"), candidate("two")
    attempt(one)
    assert not attempt(two)
    asyncio.run(one.release())
    assert attempt(two)
    asyncio.run(one.release())
    assert server.holder == "two", "only the holder lets go"


def test_waiting_ends_with_leading(server, clock, candidate):
    attempt(candidate("one"))
    two = candidate("two")

    async def wait():
        waiting = asyncio.create_task(two.acquire())
        await until(lambda: two._seen[0])
        clock.now += two.duration + 1
        await asyncio.wait_for(waiting, 5)

    asyncio.run(wait())
    assert server.holder == "two"


def keeping(election):
    """Keep the Lease until it is lost; the whole takes at most five seconds of real time."""
    asyncio.run(asyncio.wait_for(election.renew_until_lost(), 5))


def test_a_leader_stops_when_another_leads(server, clock, candidate):
    one, two = candidate("one"), candidate("two")
    attempt(one)
    attempt(two)
    clock.now += two.duration + 1  # as after SIGSTOP
    assert attempt(two)
    keeping(one)
    assert server.holder == "two"
    assert server.writes == 2


def test_a_leader_that_slept_knows_before_it_asks(server, clock, candidate):
    one, two = candidate("one"), candidate("two")
    assert not one.is_leader
    attempt(one)
    attempt(two)
    assert (one.is_leader, two.is_leader) == (True, False)
    clock.now += one.duration + 0.1
    assert not one.is_leader
    assert attempt(two)
    assert (one.is_leader, two.is_leader) == (False, True)


def test_a_leader_stops_when_the_server_is_silent_before_another_may_lead(server, clock, candidate):
    one = candidate("one")
    attempt(one)
    began = clock.now

    class SilentError(OSError):
        """Every question takes a while."""

        def __str__(self):
            clock.now += 0.5
            return "connection refused"

    server.down = SilentError()
    keeping(one)
    assert one.deadline < clock.now - began < one.duration


def test_a_leader_outlives_a_server_that_is_away_for_a_moment(server, clock, candidate):
    one = candidate("one")
    attempt(one)

    async def moment():
        keeping = asyncio.create_task(one.renew_until_lost())
        server.down = OSError("connection refused")
        clock.now += 5
        await asyncio.sleep(0.02)
        server.down, writes = None, server.writes
        await until(lambda: server.writes > writes)
        clock.now += 5
        await until(lambda: server.writes > writes + 1)
        assert not keeping.done()
        keeping.cancel()

    asyncio.run(asyncio.wait_for(moment(), 5))


def test_a_lost_race_is_no_lost_lease(server, clock, candidate):
    """Somebody changed the Lease's labels between reading and writing: the next try succeeds."""
    one = candidate("one")
    attempt(one)
    write, raced = server.write_lease, []

    async def race(lease):
        if not raced:
            raced.append(True)
            server.version += 1
            server.kept["metadata"]["resourceVersion"] = server.version
        return await write(lease)

    server.write_lease = race
    assert not attempt(one)
    assert not one._is_lost()
    assert attempt(one)


def test_whose_process_begins_anew_under_the_same_name_leads_at_once(server, candidate):
    attempt(candidate("one"))
    acquired = server.kept["spec"]["acquireTime"]
    assert attempt(candidate("one"))
    assert server.kept["spec"]["acquireTime"] != acquired
