"""What a benchmark sees: the API server by its own eyes, the operator's process by the kernel's count."""

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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "cluster"))

import operators
from kubernetes.aio import client, config

__all__ = ["VOICES", "Api", "Process", "Seen", "connected", "histogram_quantile", "quantiles", "requests", "since"]

VOICES = "apis/kubevoice.io/v1alpha1"
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION")


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
