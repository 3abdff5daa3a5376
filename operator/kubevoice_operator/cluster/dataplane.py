"""What trainers and replicas say over HTTP. Silence is an answer too: it is never an error here."""

import json
import logging
from typing import Any

import aiohttp
from kubevoice.resources.stages import Progress
from pydantic import ValidationError

from kubevoice_operator.cluster.cache import Key
from kubevoice_operator.cluster.snapshot import DataPlane
from kubevoice_operator.observe import STABLE, ReplicaObservation, TrackTraffic
from kubevoice_operator.render.names import TELEMETRY_PORT, serve_service
from kubevoice_operator.render.rayservice import HTTP_PORT

__all__ = ["DataPlaneClient", "service_url"]

logger = logging.getLogger(__name__)
SECONDS = 8.0
"""Longer than the HTTP side waits for a replica that does not tell its state."""
MAX_BYTES = 4 * 1024 * 1024
"""Answers come from containers that users chose: a bound on what is read of them."""


def service_url(key: Key) -> str:
    """Return where applications in the cluster call a voice; KubeRay names the Service."""
    return f"http://{serve_service(key.name)}.{key.namespace}.svc:{HTTP_PORT}"


class DataPlaneClient:
    """HTTP to pods and Services."""

    def __init__(self) -> None:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _get(self, url: str) -> bytes | None:
        try:
            async with self._http.get(url, allow_redirects=False) as answer:
                return await _whole(answer) if answer.status == 200 else None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            logger.debug("%s does not answer: %s", url, error)
            return None

    async def progress(self, address: str) -> Progress | None:
        """Return how far the trainer at a pod's address is."""
        host = f"[{address}]" if ":" in address else address
        body = await self._get(f"http://{host}:{TELEMETRY_PORT}/progress")
        try:
            return Progress.model_validate_json(body) if body else None
        except ValidationError:
            return None

    async def replicas(self, key: Key) -> DataPlane:
        """Return what each replica of a voice serves, and what became of the requests."""
        body = await self._get(f"{service_url(key)}/v1/revisions")
        return parse_revisions(body) if body else DataPlane()


async def _whole(answer: aiohttp.ClientResponse) -> bytes | None:
    """Return all of an answer, in however many pieces it comes; None if there is too much of it."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MAX_BYTES:
            return None
    return bytes(body)


def parse_revisions(body: bytes) -> DataPlane:
    """Read the answer of /v1/revisions; one that makes no sense says nothing."""
    try:
        said: dict[str, Any] = json.loads(body)
        replicas = tuple(
            ReplicaObservation(
                str(replica["replica"]),
                {str(name): str(revision) for name, revision in replica["voices"].items()},
                str(replica.get("track", STABLE)),
                str(replica["error"])[:1000] if replica.get("error") else None,
            )
            for replica in said["replicas"]
        )
        traffic = {
            str(track): TrackTraffic(int(seen["requests"]), int(seen["errors"]), seen.get("p95Seconds"))
            for track, seen in said.get("traffic", {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return DataPlane()
    return DataPlane(tuple(sorted(replicas, key=lambda r: r.replica)), traffic, answered=True)
