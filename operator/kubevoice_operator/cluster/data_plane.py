"""Reads progress from trainers and revisions from replicas over HTTP. No answer is not an error here."""

import json
import logging
from typing import Any

import aiohttp
from kubevoice.resources.stages import Progress
from pydantic import ValidationError

from kubevoice_operator.cluster.cache import Key
from kubevoice_operator.cluster.snapshot import DataPlane
from kubevoice_operator.observed_state import STABLE, ObservedReplica, ObservedTraffic
from kubevoice_operator.render.names import TELEMETRY_PORT, serve_service
from kubevoice_operator.render.rayservice import HTTP_PORT

__all__ = ["DataPlaneClient", "service_url"]

logger = logging.getLogger(__name__)
SECONDS = 8.0
"""Longer than the ingress deployment waits for a replica that does not report its state."""
MAX_BYTES = 4 * 1024 * 1024
"""Most bytes read of an answer. Answers come from containers that users chose, so they are not trusted."""


def service_url(key: Key) -> str:
    """Return the URL of a voice inside the cluster; KubeRay names the Service."""
    return f"http://{serve_service(key.name)}.{key.namespace}.svc:{HTTP_PORT}"


class DataPlaneClient:
    """HTTP client for pods and Services."""

    def __init__(self) -> None:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _get(self, url: str) -> bytes | None:
        try:
            async with self._http.get(url, allow_redirects=False) as answer:
                return await _read_body(answer) if answer.status == 200 else None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            logger.debug("%s does not answer: %s", url, error)
            return None

    async def fetch_progress(self, address: str) -> Progress | None:
        """Return the progress of the trainer at a pod's address; None if it does not answer or makes no sense."""
        host = f"[{address}]" if ":" in address else address
        body = await self._get(f"http://{host}:{TELEMETRY_PORT}/progress")
        try:
            return Progress.model_validate_json(body) if body else None
        except ValidationError:
            return None

    async def fetch_replicas(self, key: Key) -> DataPlane:
        """Return what each replica of a voice serves, and its request counts; empty if nothing answers."""
        body = await self._get(f"{service_url(key)}/v1/revisions")
        return parse_revisions(body) if body else DataPlane()


async def _read_body(answer: aiohttp.ClientResponse) -> bytes | None:
    """Return the whole body; None if it exceeds MAX_BYTES."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            return None
    return bytes(body)


def parse_revisions(body: bytes) -> DataPlane:
    """Parse the answer of /v1/revisions; one that makes no sense counts as no answer."""
    try:
        said: dict[str, Any] = json.loads(body)
        replicas = tuple(
            ObservedReplica(
                str(replica["replica"]),
                {str(name): str(revision) for name, revision in replica["voices"].items()},
                str(replica.get("track", STABLE)),
                str(replica["error"])[:1000] if replica.get("error") else None,
            )
            for replica in said["replicas"]
        )
        traffic = {
            str(track): ObservedTraffic(int(seen["requests"]), int(seen["errors"]), seen.get("p95Seconds"))
            for track, seen in said.get("traffic", {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return DataPlane()
    return DataPlane(tuple(sorted(replicas, key=lambda r: r.replica)), traffic, answered=True)
