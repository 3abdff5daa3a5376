"""The liveness probe fails when the operator gets no watch events any more."""

import asyncio

import aiohttp
import pytest
from kubevoice_operator.cluster import watches
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.keys import Key, PoolKey
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.server import serve
from kubevoice_operator.cluster.watches import Heartbeat, build_registry, build_settings


class Clock:
    """A monotonic clock that tests set."""

    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(watches, "time", clock)
    return clock


def test_the_age_is_the_time_since_the_last_beat(clock):
    heartbeat = Heartbeat()
    clock.now += 70
    assert heartbeat.age == 70
    heartbeat.beat()
    assert heartbeat.age == 0


def build_handlers(cache, queued_keys, heartbeat):
    registry = build_registry(cache, queued_keys.append, heartbeat)
    return {handler.selector.any_name: handler.fn for handler in registry._watching.get_all_handlers()}


def test_every_event_is_a_beat_and_queues_its_voicemodel(clock):
    cache, queued_keys, heartbeat = ResourceCache(), [], Heartbeat()
    handlers = build_handlers(cache, queued_keys, heartbeat)
    own_kinds = {"voicemodels", "voicepools", "jobs", "pods", "rayservices", "rayclusters", "leases"}
    assert set(handlers) == own_kinds | {"ingresses", "httproutes", "networkpolicies"}
    body = {"kind": "VoiceModel", "metadata": {"namespace": "voices", "name": "mei", "uid": "u"}}
    clock.now += 70
    asyncio.run(handlers["leases"]())
    assert (heartbeat.age, queued_keys) == (0, [])
    clock.now += 70
    asyncio.run(handlers["voicemodels"](event={"type": "ADDED", "object": body}))
    assert (heartbeat.age, queued_keys) == (0, [("voices", "mei")])
    assert cache.owner(("voices", "mei"))
    asyncio.run(handlers["voicemodels"](event={"type": "DELETED", "object": body}))
    assert len(queued_keys) == 2
    assert cache.owner(("voices", "mei")) is None


def test_the_operators_own_write_wakes_nothing_and_a_users_edit_does(clock):
    cache, woken = ResourceCache(), []
    handle = build_handlers(cache, woken, Heartbeat())["voicemodels"]

    def body(version):
        meta = {"namespace": "voices", "name": "mei", "uid": "u", "resourceVersion": str(version)}
        return {"kind": "VoiceModel", "metadata": meta}

    cache.put(body(5))  # the answer to the write
    asyncio.run(handle(event={"type": "MODIFIED", "object": body(5)}))
    assert woken == []
    asyncio.run(handle(event={"type": "MODIFIED", "object": body(6)}))
    assert woken == [("voices", "mei")]


@pytest.mark.parametrize(("problem", "status"), [(None, 200), ("no watch event for 61 s", 503)])
def test_the_probe_returns_the_problem(problem, status):
    async def send_requests():
        runner = await serve(0, OperatorMetrics(), lambda: problem)
        try:
            port = next(address[1] for address in runner.addresses if len(address) == 2)  # the one of IPv4
            async with aiohttp.ClientSession() as session:
                statuses = []
                for path in ("healthz", "readyz", "metrics"):
                    async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                        statuses.append((answer.status, await answer.text()))
                return statuses
        finally:
            await runner.cleanup()

    health, ready, metrics = asyncio.run(send_requests())
    assert health == (status, problem or "ok")
    assert ready == (200, "ok")
    assert "kubevoice_operator_leading 0.0" in metrics[1]


def test_for_given_namespaces_the_operator_does_not_scan_the_cluster():
    assert build_settings(("voices",)).scanning.disabled
    assert not build_settings(()).scanning.disabled


def make_pooled(pool, version):
    meta = {"namespace": "voices", "name": "mei", "uid": "u", "resourceVersion": str(version)}
    return {"kind": "VoiceModel", "metadata": meta, "spec": {"serving": {"poolRef": {"name": pool}}}}


def test_an_event_of_a_voice_queues_the_pools_that_it_names_and_leaves():
    cache, queued_keys = ResourceCache(), []
    handle = build_handlers(cache, queued_keys, Heartbeat())["voicemodels"]
    mei, old, new = Key("voices", "mei"), PoolKey("voices", "old"), PoolKey("voices", "new")
    asyncio.run(handle(event={"type": "ADDED", "object": make_pooled("old", 1)}))
    assert {*queued_keys} == {mei, old}
    queued_keys.clear()
    asyncio.run(handle(event={"type": "MODIFIED", "object": make_pooled("new", 2)}))
    assert {*queued_keys} == {mei, old, new}
    assert (cache.members(old), cache.members(new)) == ([], [mei])
    queued_keys.clear()
    asyncio.run(handle(event={"type": "DELETED", "object": make_pooled("new", 3)}))
    assert {*queued_keys} == {mei, new}
