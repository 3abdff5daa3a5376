"""Measure the operator with many VoiceModels, on a real API server with real controllers and no node.

    .venv/bin/python benchmarks/operator_scale.py --idle-seconds 600 --output benchmarks/results/operator_scale.json

Every VoiceModel gets its first Job and that Job's pod. Then the status of a hundred pods is set to unschedulable at
once. A latency lasts from the response to that request until a watch shows the new condition of the VoiceModel. Clock
and watch are the benchmark's own, not the operator's. In the idle phase at the end nothing changes, and the operator
must not write.
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

sys.path.extend(str(Path(__file__).resolve().parents[1] / "tests" / folder) for folder in ("cluster", "shared"))

import operators
import testcluster
from cluster_probe import (
    VOICES,
    Api,
    ConditionWatcher,
    OperatorProbe,
    compute_quantiles,
    connect,
    count_requests,
    diff_counters,
    find_quantile_bound,
)
from kubelet import JOB_NAME, voice

NAMESPACES = 10
IN_FLIGHT = 32
"""Requests at a time. Filling opens as many connections; a hundred new ones at once would measure TLS."""
PODS = "api/v1"
MERGE = "application/merge-patch+json"
RESOURCES = ("voicemodels", "jobs", "pods", "events", "rayservices", "rayclusters")
TARGETS = {"latencyP95Seconds": 1.0, "peakRssMb": 300, "idleWrites": 0}
SPREAD = 10.0
"""Seconds over which the same number of changes is spread in the phase `oneByOne`."""
REASON = "Unschedulable"
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": REASON, "message": "0/0 nodes are available."}


async def run_concurrently(calls: Iterable[Callable[[], Awaitable[Any]]], in_flight: int = IN_FLIGHT) -> None:
    """Make all calls, at most `in_flight` at a time."""
    semaphore = asyncio.Semaphore(in_flight)

    async def run_one(call: Callable[[], Awaitable[Any]]) -> None:
        async with semaphore:
            await call()

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(run_one(call))


async def create_voices(api: Api, watcher: ConditionWatcher, count: int) -> dict[str, str]:
    """Create the VoiceModels and return the pod of each, once all are reported as running."""
    names = [(f"scale-{i % NAMESPACES}", f"voice-{i:04}") for i in range(count)]

    def build_request(namespace: str, name: str) -> Callable[[], Awaitable[Any]]:
        path = f"{VOICES}/namespaces/{namespace}/voicemodels"
        return lambda: api.call("POST", path, voice(name, namespace))

    await run_concurrently(build_request(*name) for name in names)
    await watcher.wait_for_count("Running", count, 900)
    pods: dict[str, str] = {}
    async with asyncio.timeout(900):
        # The Job controller creates twenty pods a second.
        while len(pods) < count:
            await asyncio.sleep(1)
            items = (await api.call("GET", f"{PODS}/pods?labelSelector={JOB_NAME}"))["items"]
            pods = {f"{m['namespace']}/{m['labels']['kubevoice.io/voicemodel']}": m["name"] for m in
                    (pod["metadata"] for pod in items)}  # fmt: skip
    return pods


async def change_pods(api: Api, watcher: ConditionWatcher, pods: dict[str, str], spread: float = 0) -> list[float]:
    """Make pods unschedulable and measure how soon the status of each VoiceModel shows it.

    Parameters
    ----------
    pods
        The pod of each VoiceModel, by `namespace/name`.
    spread
        Seconds over which the changes are spread evenly. With 0 all are made at once.

    Returns
    -------
    list[float]
        The latency of each VoiceModel, in seconds.
    """
    answer_times: dict[str, float] = {}
    before = Counter(watcher.reasons.values())[REASON]

    def build_change(key: str, pod: str, wait: float) -> Callable[[], Awaitable[Any]]:
        async def patch_status() -> None:
            await asyncio.sleep(wait)
            path = f"{PODS}/namespaces/{key.partition('/')[0]}/pods/{pod}/status"
            await api.call("PATCH", path, {"status": {"conditions": [UNSCHEDULABLE]}}, MERGE)
            answer_times[key] = time.monotonic()

        return patch_status

    interval = spread / len(pods)
    await run_concurrently(
        (build_change(key, pod, i * interval) for i, (key, pod) in enumerate(pods.items())),
        in_flight=len(pods) if spread else IN_FLIGHT,
    )
    await watcher.wait_for_count(REASON, before + len(pods), 60)
    return [max(0.0, watcher.first_seen[key, REASON] - at) for key, at in answer_times.items()]


async def wait_until_idle(probe: OperatorProbe) -> None:
    """Wait until the operator has sent no request to the API server for five seconds."""
    while True:
        before = probe.read_metrics()
        await asyncio.sleep(5)
        if not count_requests(before, probe.read_metrics()):
            return


async def measure(api: Api, probe: OperatorProbe, args: argparse.Namespace) -> dict[str, Any]:
    """Run all phases beside a watch of the VoiceModels and return the metrics."""
    watcher = ConditionWatcher()
    async with asyncio.TaskGroup() as group:
        helpers = [group.create_task(watcher.watch(api)), group.create_task(probe.raise_when_ended())]
        metrics = await run_phases(api, probe, watcher, args)
        for helper in helpers:
            helper.cancel()
    return metrics


async def run_phases(
    api: Api, probe: OperatorProbe, watcher: ConditionWatcher, args: argparse.Namespace
) -> dict[str, Any]:
    """Create the VoiceModels, change pods, then idle; return the metrics of each phase."""
    metrics: dict[str, Any] = {"voiceModels": args.count, "rssEmptyMb": probe.measure_rss()["nowMb"]}
    began, before, cpu = time.monotonic(), probe.read_metrics(), probe.measure_cpu()
    pods = await create_voices(api, watcher, args.count)
    metrics["fill"] = {
        "seconds": round(time.monotonic() - began, 1),
        "cpuSeconds": round(probe.measure_cpu() - cpu, 1),
        "requests": count_requests(before, probe.read_metrics()),
    }
    await wait_until_idle(probe)
    metrics["change"] = {"at once": args.changes, "rounds": []}
    latencies: list[float] = []
    for start in range(0, args.rounds * args.changes, args.changes):
        before, cpu = probe.read_metrics(), probe.measure_cpu()
        some = dict(sorted(pods.items())[start : start + args.changes])
        seconds = await change_pods(api, watcher, some)
        await wait_until_idle(probe)
        added, latencies = diff_counters(before, probe.read_metrics()), latencies + seconds
        metrics["change"]["rounds"].append(
            compute_quantiles(seconds)
            | {
                "operatorsOwnP95AtMost": find_quantile_bound(added, "kubevoice_operator_reaction_seconds", 0.95),
                "requestsPerChange": round(
                    sum(count_requests(before, probe.read_metrics()).values()) / args.changes, 2
                ),
                "requests": count_requests(before, probe.read_metrics()),
                "cpuSeconds": round(probe.measure_cpu() - cpu, 2),
            }
        )
    metrics["change"]["seconds"] = compute_quantiles(latencies)
    rest = dict(sorted(pods.items())[-args.changes :])
    metrics["oneByOne"] = {"over": SPREAD, "seconds": compute_quantiles(await change_pods(api, watcher, rest, SPREAD))}
    await wait_until_idle(probe)
    before, writes, cpu = probe.read_metrics(), await api.count_writes(), probe.measure_cpu()
    await asyncio.sleep(args.idle_seconds)
    after = diff_counters(writes, await api.count_writes())
    metrics["idle"] = {
        "seconds": args.idle_seconds,
        "writes": {name: int(after.get(name, 0)) for name in RESOURCES},
        "leaseWrites": int(after.get("leases", 0)),
        "requests": count_requests(before, probe.read_metrics()),
        "cpuShare": round((probe.measure_cpu() - cpu) / max(1, args.idle_seconds), 4),
    }
    metrics["rss"], metrics["cpuSeconds"] = probe.measure_rss(), round(probe.measure_cpu(), 1)
    return metrics


def describe_machine() -> dict[str, Any]:
    """Return processors, memory, load and Python of this machine."""
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpus": os.cpu_count(),
        "cpu": names[0] if names else platform.machine(),
        "memoryGb": round(memory / 2**30, 1),
        "loadBefore": [round(value, 1) for value in os.getloadavg()],
        "python": platform.python_version(),
    }


async def run_on_cluster(args: argparse.Namespace, cluster: testcluster.Cluster, folder: str) -> dict[str, Any]:
    """Install one operator on a cluster and measure it; return the report."""
    operators.install(cluster)
    for i in range(NAMESPACES):
        cluster.namespace(f"scale-{i}")
    origin = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": describe_machine()}
    with operators.operator(cluster, folder) as operator:
        async with connect(cluster.kubeconfig) as api:
            metrics = await measure(api, OperatorProbe(operator), args)
    reached = {
        "latencyP95Seconds": metrics["change"]["seconds"]["p95"],
        "peakRssMb": metrics["rss"]["peakMb"],
        "idleWrites": sum(metrics["idle"]["writes"].values()),
    }
    return origin | {"targets": TARGETS, "reached": reached} | metrics


def main() -> int:
    """Run the benchmark and print its report; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="VoiceModels")
    parser.add_argument("--changes", type=int, default=100, help="pods whose status changes at once")
    parser.add_argument("--rounds", type=int, default=5, help="how often, each time with other pods")
    parser.add_argument("--idle-seconds", type=int, default=60, help="how long nothing happens at the end")
    parser.add_argument("--output", type=Path, help="file for the report, as JSON")
    args = parser.parse_args()
    with testcluster.control_plane() as cluster, tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(run_on_cluster(args, cluster, folder))
    text = json.dumps(report, indent=2) + "\n"
    print(text, end="")
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    return int(any(report["reached"][name] > bound for name, bound in TARGETS.items()))


if __name__ == "__main__":
    sys.exit(main())
