"""The kubelet restarts an operator whose watches are dead, and no other."""

import asyncio

import aiohttp
import pytest
from kubevoice_operator.cluster import watches
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.server import serve
from kubevoice_operator.cluster.watches import Heartbeat, build_registry, build_settings


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(watches, "time", clock)
    return clock


def test_silence_lasts_from_one_beat_to_the_next(clock):
    heart = Heartbeat()
    clock.now += 70
    assert heart.age == 70
    heart.beat()
    assert heart.age == 0


def handlers(cache, woken, heart):
    registry = build_registry(cache, woken.append, heart)
    return {handler.selector.any_name: handler.fn for handler in registry._watching.get_all_handlers()}


def test_every_event_is_a_beat_and_wakes_whom_it_is_about(clock):
    cache, woken, heart = ResourceCache(), [], Heartbeat()
    seen = handlers(cache, woken, heart)
    ours = {"voicemodels", "jobs", "pods", "rayservices", "rayclusters", "leases"}
    assert set(seen) == ours | {"ingresses", "httproutes", "networkpolicies"}
    body = {"kind": "VoiceModel", "metadata": {"namespace": "voices", "name": "mei", "uid": "u"}}
    clock.now += 70
    asyncio.run(seen["leases"]())
    assert (heart.age, woken) == (0, [])
    clock.now += 70
    asyncio.run(seen["voicemodels"](event={"type": "ADDED", "object": body}))
    assert (heart.age, woken) == (0, [("voices", "mei")])
    assert cache.model(("voices", "mei"))
    asyncio.run(seen["voicemodels"](event={"type": "DELETED", "object": body}))
    assert len(woken) == 2
    assert cache.model(("voices", "mei")) is None


@pytest.mark.parametrize(("problem", "status"), [(None, 200), ("no watch event for 61 s", 503)])
def test_the_probe_says_what_is_wrong(problem, status):
    async def ask():
        runner = await serve(0, OperatorMetrics(), lambda: problem)
        try:
            port = next(address[1] for address in runner.addresses if len(address) == 2)  # of IPv4
            async with aiohttp.ClientSession() as session:
                statuses = []
                for path in ("healthz", "readyz", "metrics"):
                    async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                        statuses.append((answer.status, await answer.text()))
                return statuses
        finally:
            await runner.cleanup()

    health, ready, metrics = asyncio.run(ask())
    assert health == (status, problem or "ok")
    assert ready == (200, "ok")
    assert "kubevoice_operator_leading 0.0" in metrics[1]


def test_in_one_namespace_nothing_of_the_cluster_is_looked_at():
    assert build_settings(("voices",)).scanning.disabled
    assert not build_settings(()).scanning.disabled
