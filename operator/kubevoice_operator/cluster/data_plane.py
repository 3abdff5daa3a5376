"""Reads progress from trainers and revisions from replicas over HTTP. No answer is not an error here."""

import logging

import aiohttp
from kubevoice.resources.data_plane import RevisionsResponse
from kubevoice.resources.stages import Progress
from pydantic import ValidationError

from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.render.names import TELEMETRY_PORT, serve_service
from kubevoice_operator.render.rayservice import HTTP_PORT

__all__ = ["DataPlaneClient", "service_url"]

logger = logging.getLogger(__name__)
SECONDS = 8.0
"""Longer than the ingress deployment waits for a replica that does not report its state."""
MAX_BYTES = 4 * 1024 * 1024
"""Most bytes read of an answer. Answers come from containers that users chose, so they are not trusted."""
MAX_ERROR = 1000
"""Most characters of a replica's error that are passed on to the status."""


def service_url(key: Key) -> str:
    """Return the URL of a RayService inside the cluster; KubeRay names the Service.

    Parameters
    ----------
    key
        Namespace and name of the RayService.

    Returns
    -------
    str
        http, the Service's name in the cluster and its port.
    """
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
        """Ask a trainer for its progress.

        Parameters
        ----------
        address
            IP address of its pod.

        Returns
        -------
        Progress or None
            None if it does not answer, or its answer cannot be parsed.
        """
        host = f"[{address}]" if ":" in address else address
        body = await self._get(f"http://{host}:{TELEMETRY_PORT}/progress")
        try:
            return Progress.model_validate_json(body) if body else None
        except ValidationError:
            return None

    async def fetch_revisions(self, key: Key) -> RevisionsResponse | None:
        """Ask a RayService for what its replicas serve, and for its request counts.

        Parameters
        ----------
        key
            Namespace and name of the RayService.

        Returns
        -------
        RevisionsResponse or None
            None if nothing answers, or the answer cannot be parsed.
        """
        body = await self._get(f"{service_url(key)}/v1/revisions")
        return parse_revisions(body) if body else None


async def _read_body(answer: aiohttp.ClientResponse) -> bytes | None:
    """Return the whole body; None if it exceeds MAX_BYTES."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            return None
    return bytes(body)


def parse_revisions(body: bytes) -> RevisionsResponse | None:
    """Parse the answer of /v1/revisions.

    Parameters
    ----------
    body
        The answer's body.

    Returns
    -------
    RevisionsResponse or None
        Replicas by name, with errors of at most MAX_ERROR characters; None if the answer makes no sense.
    """
    try:
        response = RevisionsResponse.model_validate_json(body)
    except ValidationError:
        return None
    replicas = (
        replica.model_copy(
            update={
                "error": replica.error[:MAX_ERROR] if replica.error else None,
                "errors": {voice: error[:MAX_ERROR] for voice, error in replica.errors.items()},
            }
        )
        for replica in response.replicas
    )
    return response.model_copy(update={"replicas": tuple(sorted(replicas, key=lambda r: r.replica))})
