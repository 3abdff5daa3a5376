"""Leader election: by a Lease, and only by each process's monotonic clock."""

import asyncio
import itertools
from copy import deepcopy

import pytest
from kubevoice_operator.cluster import leader
from kubevoice_operator.cluster.leader import Election


class Clock:
    """A monotonic clock that tests set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Server:
    """A Lease with the API server's optimistic concurrency. If `down` is an error, every request raises it."""

    def __init__(self):
        self.lease, self.version, self.down, self.writes = None, 0, None, 0

    async def read_lease(self):
        if self.down:
            raise self.down
        return deepcopy(self.lease)

    async def write_lease(self, lease):
        if self.down:
            raise self.down
        version = lease.get("metadata", {}).get("resourceVersion", 0)
        if version != self.version:
            return False
        self.version += 1
        self.writes += 1
        self.lease = {"metadata": {"resourceVersion": self.version}, "spec": deepcopy(lease["spec"])}
        return True

    @property
    def holder(self):
        return self.lease["spec"]["holderIdentity"] if self.lease else None


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


async def wait_until(predicate):
    while not predicate():  # noqa: ASYNC110  # the election has no event to wait for
        await asyncio.sleep(0)


def attempt(election):
    return asyncio.run(election._try_acquire_or_renew())


def test_the_first_leads_while_it_renews_and_the_second_waits(server, clock, candidate):
    first, second = candidate("first"), candidate("second")
    assert attempt(first)
    for _ in range(20):
        clock.now += 2
        assert not attempt(second)
        assert attempt(first)
    assert server.holder == "first"
    assert server.lease["spec"]["leaseTransitions"] == 1


def test_a_lease_that_is_not_renewed_expires_after_its_duration(server, clock, candidate):
    first, second = candidate("first"), candidate("second")
    attempt(first)
    assert not attempt(second)
    clock.now += second.duration - 0.1
    assert not attempt(second)
    clock.now += 0.2
    assert attempt(second)
    assert server.lease["spec"]["leaseTransitions"] == 2


def test_the_duration_counts_from_the_candidates_first_read(server, clock, candidate):
    attempt(candidate("first"))
    clock.now += 3600
    late = candidate("late")
    assert not attempt(late), "the holder may be alive: wall clocks may differ"
    clock.now += late.duration + 0.1
    assert attempt(late)


@pytest.mark.parametrize("year", [1970, 2100])
def test_jumps_of_the_wall_clock_have_no_effect(server, clock, candidate, monkeypatch, year):
    first, second = candidate("first"), candidate("second")
    attempt(first)
    attempt(second)
    counter = itertools.count()
    monkeypatch.setattr(leader, "_timestamp", lambda: f"{year}-01-01T00:00:00.{next(counter):06}Z")
    for _ in range(10):
        clock.now += 2
        assert attempt(first)
        assert not attempt(second)
    server.lease["spec"] |= {"renewTime": "2000-01-01T00:00:00.000000Z"}
    assert not attempt(second), "a changed time means that the holder is alive"


def test_one_of_two_candidates_acquires_a_free_lease(server, candidate):
    first, second = candidate("first"), candidate("second")

    async def acquire_both():
        return await asyncio.gather(first._try_acquire_or_renew(), second._try_acquire_or_renew())

    assert sorted(asyncio.run(acquire_both())) == [False, True]
    assert server.writes == 1


def test_a_released_lease_is_acquired_at_once(server, candidate):
    first, second = candidate("first"), candidate("second")
    attempt(first)
    assert not attempt(second)
    asyncio.run(first.release())
    assert attempt(second)
    asyncio.run(first.release())
    assert server.holder == "second", "only the holder can release it"


def test_acquire_returns_when_the_candidate_leads(server, clock, candidate):
    attempt(candidate("first"))
    second = candidate("second")

    async def wait_for_lease():
        waiting = asyncio.create_task(second.acquire())
        await wait_until(lambda: second._seen[0])
        clock.now += second.duration + 1
        await asyncio.wait_for(waiting, 5)

    asyncio.run(wait_for_lease())
    assert server.holder == "second"


def renew(election):
    """Renew the Lease until it is lost, at most five seconds of real time."""
    asyncio.run(asyncio.wait_for(election.renew_until_lost(), 5))


def test_a_leader_stops_when_another_leads(server, clock, candidate):
    first, second = candidate("first"), candidate("second")
    attempt(first)
    attempt(second)
    clock.now += second.duration + 1  # as after SIGSTOP
    assert attempt(second)
    renew(first)
    assert server.holder == "second"
    assert server.writes == 2


def test_a_suspended_leader_knows_without_a_request_that_its_lease_expired(server, clock, candidate):
    first, second = candidate("first"), candidate("second")
    assert not first.is_leader
    attempt(first)
    attempt(second)
    assert (first.is_leader, second.is_leader) == (True, False)
    clock.now += first.duration + 0.1
    assert not first.is_leader
    assert attempt(second)
    assert (first.is_leader, second.is_leader) == (False, True)


def test_a_leader_without_a_server_stops_before_another_may_lead(server, clock, candidate):
    first = candidate("first")
    attempt(first)
    began = clock.now

    class SilentError(OSError):
        """Moves the clock on each time it is logged, as a timeout would."""

        def __str__(self):
            clock.now += 0.5
            return "connection refused"

    server.down = SilentError()
    renew(first)
    assert first.deadline < clock.now - began < first.duration


def test_a_leader_survives_a_short_outage_of_the_server(server, clock, candidate):
    first = candidate("first")
    attempt(first)

    async def interrupt_server():
        renewal = asyncio.create_task(first.renew_until_lost())
        server.down = OSError("connection refused")
        clock.now += 5
        await asyncio.sleep(0.02)
        server.down, writes = None, server.writes
        await wait_until(lambda: server.writes > writes)
        clock.now += 5
        await wait_until(lambda: server.writes > writes + 1)
        assert not renewal.done()
        renewal.cancel()

    asyncio.run(asyncio.wait_for(interrupt_server(), 5))


def test_a_conflicting_write_does_not_lose_the_lease(server, clock, candidate):
    """The Lease changes between the read and the write; the next attempt succeeds."""
    first = candidate("first")
    attempt(first)
    write, conflicts = server.write_lease, []

    async def write_after_conflict(lease):
        if not conflicts:
            conflicts.append(lease)
            server.version += 1
            server.lease["metadata"]["resourceVersion"] = server.version
        return await write(lease)

    server.write_lease = write_after_conflict
    assert not attempt(first)
    assert not first._is_lost()
    assert attempt(first)


def test_a_process_that_restarts_with_the_same_name_leads_at_once(server, candidate):
    attempt(candidate("first"))
    acquired = server.lease["spec"]["acquireTime"]
    assert attempt(candidate("first"))
    assert server.lease["spec"]["acquireTime"] != acquired
