"""How the operator does with many VoiceModels, on a real API server with real controllers and no node.

    .venv/bin/python benchmarks/operator_scale.py --idle-seconds 600 --output benchmarks/results/operator_scale.json

Every VoiceModel gets its first Job and that Job's pod. Then a hundred pods at once are said to find no node, and the
time is taken from the answer to that request until a watch shows the status of the VoiceModel that tells of it: the
benchmark's own clock and eyes, not the operator's. After that, nothing happens for a while, and nothing may be written.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "cluster"))

import operators
import testcluster
from kubelet import JOB_NAME, voice
from seen import VOICES, Api, Process, Seen, connected, histogram_quantile, quantiles, requests, since

NAMESPACES = 10
IN_FLIGHT = 32
"""Connections, made while filling: a hundred new ones at once would measure TLS."""
PODS = "api/v1"
MERGE = "application/merge-patch+json"
OURS = ("voicemodels", "jobs", "pods", "events", "rayservices", "rayclusters")
TARGETS = {"latencyP95Seconds": 1.0, "peakRssMb": 300, "idleWrites": 0}
SPREAD = 10.0
"""Seconds over which as many changes come one by one, as they do in life."""
REASON = "Unschedulable"
FULL = {"type": "PodScheduled", "status": "False", "reason": REASON, "message": "0/0 nodes are available."}


async def all_of(jobs: Iterable[Callable[[], Awaitable[Any]]], in_flight: int = IN_FLIGHT) -> None:
    """Do everything, so much of it at the same time."""
    gate = asyncio.Semaphore(in_flight)

    async def one(job: Callable[[], Awaitable[Any]]) -> None:
        async with gate:
            await job()

    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(one(job))


async def fill(api: Api, seen: Seen, count: int) -> dict[str, str]:
    """Make the VoiceModels; return the pod of each, once all are told of as running."""
    places = [(f"scale-{i % NAMESPACES}", f"voice-{i:04}") for i in range(count)]

    def make(namespace: str, name: str) -> Callable[[], Awaitable[Any]]:
        path = f"{VOICES}/namespaces/{namespace}/voicemodels"
        return lambda: api.call("POST", path, voice(name, namespace))

    await all_of(make(*place) for place in places)
    await seen.count("Running", count, 900)
    pods: dict[str, str] = {}
    async with asyncio.timeout(900):
        # The Job controller makes twenty a second.
        while len(pods) < count:
            await asyncio.sleep(1)
            found = (await api.call("GET", f"{PODS}/pods?labelSelector={JOB_NAME}"))["items"]
            pods = {f"{m['namespace']}/{m['labels']['kubevoice.io/voicemodel']}": m["name"] for m in
                    (pod["metadata"] for pod in found)}  # fmt: skip
    return pods


async def change(api: Api, seen: Seen, pods: dict[str, str], over: float = 0) -> list[float]:
    """Let pods find no node, all at once or one by one; return how long each VoiceModel took to tell of it."""
    told: dict[str, float] = {}
    before = Counter(seen.reason.values())[REASON]

    def report(key: str, pod: str, wait: float) -> Callable[[], Awaitable[Any]]:
        async def say() -> None:
            await asyncio.sleep(wait)
            path = f"{PODS}/namespaces/{key.partition('/')[0]}/pods/{pod}/status"
            await api.call("PATCH", path, {"status": {"conditions": [FULL]}}, MERGE)
            told[key] = time.monotonic()

        return say

    pace = over / len(pods)
    await all_of(
        (report(key, pod, i * pace) for i, (key, pod) in enumerate(pods.items())),
        in_flight=len(pods) if over else IN_FLIGHT,
    )
    await seen.count(REASON, before + len(pods), 60)
    return [max(0.0, seen.at[key, REASON] - at) for key, at in told.items()]


async def settled(process: Process) -> None:
    """Wait until nothing is asked of the API server any more."""
    while True:
        before = process.metrics()
        await asyncio.sleep(5)
        if not requests(before, process.metrics()):
            return


async def measure(api: Api, process: Process, given: argparse.Namespace) -> dict[str, Any]:
    """Run the whole; return the figures."""
    seen = Seen()
    async with asyncio.TaskGroup() as group:
        helpers = [group.create_task(seen.watch(api)), group.create_task(process.guard())]
        figures = await figures_of(api, process, seen, given)
        for helper in helpers:
            helper.cancel()
    return figures


async def figures_of(api: Api, process: Process, seen: Seen, given: argparse.Namespace) -> dict[str, Any]:
    """Fill, change, idle."""
    figures: dict[str, Any] = {"voiceModels": given.count, "rssEmptyMb": process.rss()["nowMb"]}
    began, before, cpu = time.monotonic(), process.metrics(), process.cpu_seconds()
    pods = await fill(api, seen, given.count)
    figures["fill"] = {
        "seconds": round(time.monotonic() - began, 1),
        "cpuSeconds": round(process.cpu_seconds() - cpu, 1),
        "requests": requests(before, process.metrics()),
    }
    await settled(process)
    figures["change"] = {"at once": given.changes, "rounds": []}
    latencies: list[float] = []
    for start in range(0, given.rounds * given.changes, given.changes):
        before, cpu = process.metrics(), process.cpu_seconds()
        some = dict(sorted(pods.items())[start : start + given.changes])
        found = await change(api, seen, some)
        await settled(process)
        added, latencies = since(before, process.metrics()), latencies + found
        figures["change"]["rounds"].append(
            quantiles(found)
            | {
                "operatorsOwnP95AtMost": histogram_quantile(added, "kubevoice_operator_reaction_seconds", 0.95),
                "requestsPerChange": round(sum(requests(before, process.metrics()).values()) / given.changes, 2),
                "requests": requests(before, process.metrics()),
                "cpuSeconds": round(process.cpu_seconds() - cpu, 2),
            }
        )
    figures["change"]["seconds"] = quantiles(latencies)
    rest = dict(sorted(pods.items())[-given.changes :])
    figures["oneByOne"] = {"over": SPREAD, "seconds": quantiles(await change(api, seen, rest, SPREAD))}
    await settled(process)
    before, writes, cpu = process.metrics(), await api.writes(), process.cpu_seconds()
    await asyncio.sleep(given.idle_seconds)
    after = since(writes, await api.writes())
    figures["idle"] = {
        "seconds": given.idle_seconds,
        "writes": {name: int(after.get(name, 0)) for name in OURS},
        "leaseWrites": int(after.get("leases", 0)),
        "requests": requests(before, process.metrics()),
        "cpuShare": round((process.cpu_seconds() - cpu) / max(1, given.idle_seconds), 4),
    }
    figures["rss"], figures["cpuSeconds"] = process.rss(), round(process.cpu_seconds(), 1)
    return figures


def machine() -> dict[str, Any]:
    """Describe this machine."""
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpus": os.cpu_count(),
        "cpu": names[0] if names else platform.machine(),
        "memoryGb": round(memory / 2**30, 1),
        "loadBefore": [round(value, 1) for value in os.getloadavg()],
        "python": platform.python_version(),
    }


async def run(given: argparse.Namespace, cluster: testcluster.Cluster, folder: str) -> dict[str, Any]:
    """Measure on a cluster, with one operator."""
    operators.install(cluster)
    for i in range(NAMESPACES):
        cluster.namespace(f"scale-{i}")
    said = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": machine()}
    with operators.operator(cluster, folder) as operator:
        async with connected(cluster.kubeconfig) as api:
            figures = await measure(api, Process(operator), given)
    reached = {
        "latencyP95Seconds": figures["change"]["seconds"]["p95"],
        "peakRssMb": figures["rss"]["peakMb"],
        "idleWrites": sum(figures["idle"]["writes"].values()),
    }
    return said | {"targets": TARGETS, "reached": reached} | figures


def main() -> int:
    """Run the benchmark, print the figures; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="VoiceModels")
    parser.add_argument("--changes", type=int, default=100, help="pods whose status changes at once")
    parser.add_argument("--rounds", type=int, default=5, help="how often, each time with other pods")
    parser.add_argument("--idle-seconds", type=int, default=60, help="how long nothing happens at the end")
    parser.add_argument("--output", type=Path, help="file for the figures, as JSON")
    given = parser.parse_args()
    with testcluster.control_plane() as cluster, tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(given, cluster, folder))
    text = json.dumps(figures, indent=2) + "\n"
    print(text, end="")
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    return int(any(figures["reached"][name] > bound for name, bound in TARGETS.items()))


if __name__ == "__main__":
    sys.exit(main())
