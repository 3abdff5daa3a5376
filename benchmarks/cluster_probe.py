"""What a benchmark measures of a cluster: the API server as a client sees it, the operator's process in /proc."""

import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.extend(str(Path(__file__).resolve().parents[1] / "tests" / folder) for folder in ("cluster", "shared"))

import operators
from kubernetes.aio import client, config

__all__ = [
    "VOICES",
    "Api",
    "ConditionWatcher",
    "OperatorProbe",
    "compute_quantiles",
    "connect",
    "count_requests",
    "diff_counters",
    "find_quantile_bound",
]

VOICES = "apis/kubevoice.io/v1alpha1"
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION")


class Api:
    """A client of the API server with an administrator's rights."""

    def __init__(self, session: client.ApiClient) -> None:
        self._session = session

    async def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Send a request and return the response, whose body can be read as a stream.

        Raises
        ------
        RuntimeError
            If the status code is 400 or more.
        """
        request = await self._session.param_serialize(
            method, f"/{path}", header_params={"Content-Type": kind}, body=body, auth_settings=["BearerToken"]
        )
        answer = await self._session.call_api(*request, _request_timeout=3600)
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {(await answer.read()).decode()[:500]}")
        return answer.response

    async def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Send a request and return the JSON of the response."""
        return json.loads(await (await self.send(method, path, body, kind)).read())

    async def count_writes(self) -> Counter[str]:
        """Return the number of write requests of all clients, by resource."""
        text = (await (await self.send("GET", "metrics")).read()).decode()
        writes: Counter[str] = Counter()
        for sample, value in re.findall(r"^apiserver_request_total\{(.*)\} (\S+)$", text, re.MULTILINE):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', sample))
            if labels["verb"] in WRITES:
                writes[labels["resource"]] += int(float(value))
        return writes


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """Connect to the API server that a kubeconfig file names."""
    await config.load_kube_config(config_file=str(kubeconfig))
    async with client.ApiClient() as session:
        yield Api(session)


class ConditionWatcher:
    """Watches the condition DatasetReady of every VoiceModel.

    Attributes
    ----------
    first_seen
        When a watch first showed a reason, in seconds of the monotonic clock, by `namespace/name` and reason.
        `watch` adds entries; nothing removes them.
    reasons
        The latest reason, by `namespace/name`. `watch` writes it.
    """

    def __init__(self) -> None:
        self.first_seen: dict[tuple[str, str], float] = {}
        self.reasons: dict[str, str] = {}

    async def watch(self, api: Api) -> None:
        """Watch every VoiceModel until cancelled.

        The API server may end a watch at any time. The next one begins with all objects.
        """
        while True:
            stream = await api.send("GET", f"{VOICES}/voicemodels?watch=true&timeoutSeconds=3600")
            async for line in stream.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    break
                self._record(event["object"])

    def _record(self, body: Any) -> None:
        key = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
        for condition in body.get("status", {}).get("conditions", ()):
            if condition["type"] == "DatasetReady":
                self.reasons[key] = condition["reason"]
                self.first_seen.setdefault((key, condition["reason"]), time.monotonic())

    async def wait_for_count(self, reason: str, wanted: int, seconds: float) -> None:
        """Wait until `wanted` VoiceModels have a reason.

        Raises
        ------
        TimeoutError
            If that takes longer than `seconds`.
        """
        async with asyncio.timeout(seconds):
            while Counter(self.reasons.values())[reason] < wanted:  # noqa: ASYNC110  # any of many events may change it
                await asyncio.sleep(0.05)


class OperatorProbe:
    """Measures the operator's process: CPU time and memory from /proc, and its own metrics."""

    def __init__(self, operator: operators.OperatorProcess) -> None:
        self._operator, self._proc = operator, Path(f"/proc/{operator.pid}")

    async def raise_when_ended(self) -> None:
        """Raise RuntimeError once the process has ended."""
        while self._operator.running():  # noqa: ASYNC110  # another process
            await asyncio.sleep(1)
        raise RuntimeError(
            f"the operator ended with {self._operator.stop()}:\n{self._operator.log.read_text()[-3000:]}"
        )

    def measure_cpu(self) -> float:
        """Return the CPU time since the start of the process, in seconds."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure_rss(self) -> dict[str, float]:
        """Return the resident memory, current and peak, in MB."""
        sizes = dict(re.findall(r"^Vm(RSS|HWM):\s+(\d+) kB", (self._proc / "status").read_text(), re.MULTILINE))
        return {"nowMb": round(int(sizes["RSS"]) / 1024, 1), "peakMb": round(int(sizes["HWM"]) / 1024, 1)}

    def read_metrics(self) -> Counter[str]:
        """Return every sample of the operator's metrics, by name and labels."""
        lines = self._operator.get("/metrics")[1].splitlines()
        pairs = (line.rpartition(" ") for line in lines if line.startswith("kubevoice_"))
        return Counter({name: float(value) for name, _, value in pairs})


def diff_counters(before: Counter[str], after: Counter[str], prefix: str = "") -> dict[str, float]:
    """Return the increase of each counter that changed and whose name begins with `prefix`."""
    return {
        name: after[name] - before[name] for name in after if name.startswith(prefix) and after[name] != before[name]
    }


def count_requests(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """Return the number of the operator's API requests between two readings, by `verb resource code`."""
    added = diff_counters(before, after, "kubevoice_operator_api_requests_total")
    return {" ".join(re.findall(r'"([^"]*)"', name)): int(value) for name, value in added.items()}


def find_quantile_bound(added: dict[str, float], name: str, share: float) -> float:
    """Return the smallest upper bound of a histogram's buckets that at least `share` of the added samples are below."""
    buckets = sorted(
        (float(re.findall(r'le="([^"]+)"', n)[0]), v) for n, v in added.items() if n.startswith(f"{name}_b")
    )
    return next((bound for bound, count in buckets if count >= share * buckets[-1][1]), float("nan"))


def compute_quantiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p95 and the maximum, in seconds."""
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p95": 0.95}
    quantiles = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in shares.items()}
    return {name: round(value, 3) for name, value in (quantiles | {"max": ordered[-1]}).items()}
