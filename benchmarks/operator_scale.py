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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "cluster"))

import operators
import testcluster
from kubelet import JOB_NAME, voice
from kubernetes.aio import client, config

NAMESPACES = 10
IN_FLIGHT = 32
VOICES, PODS = "apis/kubevoice.io/v1alpha1", "api/v1"
MERGE = "application/merge-patch+json"
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION")
OURS = ("voicemodels", "jobs", "pods", "events", "rayservices", "rayclusters")
TARGETS = {"latencyP95Seconds": 1.0, "peakRssMb": 300, "idleWrites": 0}
REASON = "Unschedulable"
FULL = {"type": "PodScheduled", "status": "False", "reason": REASON, "message": "0/0 nodes are available."}


class Api:
    """The API server, as an administrator sees it."""

    def __init__(self, session: client.ApiClient) -> None:
        self._session = session

    async def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Return the answer, as a stream. Raises RuntimeError if the server refuses."""
        request = await self._session.param_serialize(
            method, f"/{path}", header_params={"Content-Type": kind}, body=body, auth_settings=["BearerToken"]
        )
        answer = await self._session.call_api(*request, _request_timeout=3600)
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {(await answer.read()).decode()[:500]}")
        return answer.response

    async def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Return the answer's JSON."""
        return json.loads(await (await self.send(method, path, body, kind)).read())

    async def writes(self) -> Counter[str]:
        """Return how often anybody has written each kind of object."""
        text = (await (await self.send("GET", "metrics")).read()).decode()
        found: Counter[str] = Counter()
        for labels, value in re.findall(r"^apiserver_request_total\{(.*)\} (\S+)$", text, re.MULTILINE):
            said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if said["verb"] in WRITES:
                found[said["resource"]] += int(float(value))
        return found


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Api]:
    """Connect to a cluster."""
    await config.load_kube_config(config_file=str(kubeconfig))
    async with client.ApiClient() as session:
        yield Api(session)


class Seen:
    """When a watch first showed what: the reason of each VoiceModel's DatasetReady."""

    def __init__(self) -> None:
        self.at: dict[tuple[str, str], float] = {}
        self.reason: dict[str, str] = {}

    async def watch(self, api: Api) -> None:
        """Watch every VoiceModel until cancelled; the API server ends watches as it likes, and a new one shows all."""
        while True:
            stream = await api.send("GET", f"{VOICES}/voicemodels?watch=true&timeoutSeconds=3600")
            async for line in stream.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    break
                self._see(event["object"])

    def _see(self, body: Any) -> None:
        key = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
        for condition in body.get("status", {}).get("conditions", ()):
            if condition["type"] == "DatasetReady":
                self.reason[key] = condition["reason"]
                self.at.setdefault((key, condition["reason"]), time.monotonic())

    async def count(self, reason: str, wanted: int, seconds: float) -> None:
        """Wait until so many VoiceModels have a reason. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while Counter(self.reason.values())[reason] < wanted:  # noqa: ASYNC110  # many events, one question
                await asyncio.sleep(0.05)


async def all_of(jobs: Iterable[Callable[[], Awaitable[Any]]], in_flight: int = IN_FLIGHT) -> None:
    """Do everything, so much of it at the same time."""
    gate = asyncio.Semaphore(in_flight)

    async def one(job: Callable[[], Awaitable[Any]]) -> None:
        async with gate:
            await job()

    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(one(job))


class Process:
    """What the operator's process takes, by the kernel's count, and what it asked the API server."""

    def __init__(self, operator: operators.OperatorProcess) -> None:
        self._operator, self._proc = operator, Path(f"/proc/{operator.pid}")

    async def guard(self) -> None:
        """Raise RuntimeError once the process has ended."""
        while self._operator.running():  # noqa: ASYNC110  # another process
            await asyncio.sleep(1)
        raise RuntimeError(
            f"the operator ended with {self._operator.stop()}:\n{self._operator.log.read_text()[-3000:]}"
        )

    def cpu_seconds(self) -> float:
        """Return the CPU time since the start."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self) -> dict[str, float]:
        """Return the resident memory now and at its most, in MB."""
        found = dict(re.findall(r"^Vm(RSS|HWM):\s+(\d+) kB", (self._proc / "status").read_text(), re.MULTILINE))
        return {"nowMb": round(int(found["RSS"]) / 1024, 1), "peakMb": round(int(found["HWM"]) / 1024, 1)}

    def metrics(self) -> Counter[str]:
        """Return every sample of the operator's metrics."""
        lines = self._operator.get("/metrics")[1].splitlines()
        pairs = (line.rpartition(" ") for line in lines if line.startswith("kubevoice_"))
        return Counter({name: float(value) for name, _, value in pairs})


def since(before: Counter[str], after: Counter[str], prefix: str = "") -> dict[str, float]:
    """Return what was added to counters."""
    return {
        name: after[name] - before[name] for name in after if name.startswith(prefix) and after[name] != before[name]
    }


def requests(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """Return the operator's API requests, as `verb resource code`."""
    found = {}
    for name, value in since(before, after, "kubevoice_operator_api_requests_total").items():
        found[" ".join(re.findall(r'"([^"]*)"', name))] = int(value)
    return found


def histogram_quantile(added: dict[str, float], name: str, share: float) -> float:
    """Return the least bucket bound of a histogram that covers a share of what was added."""
    buckets = sorted(
        (float(re.findall(r'le="([^"]+)"', n)[0]), v) for n, v in added.items() if n.startswith(f"{name}_b")
    )
    return next((bound for bound, count in buckets if count >= share * buckets[-1][1]), float("nan"))


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p95 and the largest."""
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p95": 0.95}
    found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in at.items()}
    return {name: round(value, 3) for name, value in (found | {"max": ordered[-1]}).items()}


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


async def change(api: Api, seen: Seen, pods: dict[str, str]) -> list[float]:
    """Let pods find no node, all at once; return how long each VoiceModel took to tell of it."""
    told: dict[str, float] = {}
    before = Counter(seen.reason.values())[REASON]

    def report(key: str, pod: str) -> Callable[[], Awaitable[Any]]:
        async def say() -> None:
            path = f"{PODS}/namespaces/{key.partition('/')[0]}/pods/{pod}/status"
            await api.call("PATCH", path, {"status": {"conditions": [FULL]}}, MERGE)
            told[key] = time.monotonic()

        return say

    await all_of((report(key, pod) for key, pod in pods.items()), in_flight=len(pods))
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
