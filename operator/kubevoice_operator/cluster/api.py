"""The Kubernetes API: the few requests the operator makes, as plain dicts."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.request import getproxies

from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException
from kubevoice.resources.voicemodel import GROUP, VERSION

from kubevoice_operator.cluster.cache import Key
from kubevoice_operator.cluster.metrics import OperatorMetrics

__all__ = ["LEASE_LABELS", "ApiException", "Identities", "KubernetesApi", "load_client"]

Object = dict[str, Any]
VOICES = (GROUP, VERSION, "voicemodels")
JOBS = ("batch", "v1", "jobs")
SERVICES = ("ray.io", "v1", "rayservices")
CLUSTERS = ("ray.io", "v1", "rayclusters")
EVENTS = ("events.k8s.io", "v1", "events")
LEASES = ("coordination.k8s.io", "v1", "leases")
APPLIED = {
    "RayService": SERVICES,
    "NetworkPolicy": ("networking.k8s.io", "v1", "networkpolicies"),
    "Ingress": ("networking.k8s.io", "v1", "ingresses"),
    "HTTPRoute": ("gateway.networking.k8s.io", "v1", "httproutes"),
}
"""Kinds that are applied, and so carry the name of their VoiceModel."""
MANAGER = "kubevoice-operator"
STATUS_MANAGER = "kubevoice-operator-status"
"""Field managers: one a concern, so that `kubectl get --show-managed-fields` tells who wrote what."""
APPLY, MERGE, JSON_PATCH = (
    "application/apply-patch+yaml",
    "application/merge-patch+json",
    "application/json-patch+json",
)
READS = ("get", "list")
REQUEST_SECONDS = 30.0
PAGE = 500
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
LEASE_LABELS = {"app.kubernetes.io/name": "kubevoice", "app.kubernetes.io/component": "operator"}


@contextmanager
def _unless_missing() -> Iterator[None]:
    """Go on when the object is gone: what was to be done to it needs no doing."""
    try:
        yield
    except ApiException as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise


async def load_client() -> client.ApiClient:
    """Return a client of the cluster this process runs in, or else of the user's kubeconfig."""
    found = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        await config.load_kube_config(client_configuration=found)  # type: ignore[no-untyped-call]
    # To look for a proxy and for ~/.netrc costs two threads a request, so it is done only where there is a proxy.
    found.client_session_kwargs = {"trust_env": bool(getproxies())}
    return client.ApiClient(found)


class Identities(NamedTuple):
    """Which objects there were, as of a resource version: their own versions, by UID."""

    versions: dict[str, int]
    version: int


class KubernetesApi:
    """Requests of the operator; `lease_key` names its own Lease, and `may_write` tells whether it may change others."""

    may_write: Callable[[], bool] = staticmethod(lambda: True)

    def __init__(self, api: client.ApiClient, metrics: OperatorMetrics, lease_key: Key) -> None:
        self._client, self._objects = api, client.CustomObjectsApi(api)
        self._metrics = metrics
        self._lease_key = lease_key

    async def _count(self, verb: str, resource: str, request: Any) -> Any:
        """Await a request and count it. Raises ApiException, what aiohttp raises, or TimeoutError if it comes late."""
        if verb not in READS and not self.may_write():
            request.close()
            raise TimeoutError("the lease may be another's by now")
        code = "error"
        try:
            found = await request
            code = "200"
        except ApiException as error:
            code = str(error.status)
            raise
        finally:
            self._metrics.api_requests.labels(verb, resource, code).inc()
        return found

    async def voice(self, key: Key) -> Object | None:
        """Return a VoiceModel from the server, or None if there is none."""
        with _unless_missing():
            request = self._objects.get_namespaced_custom_object(
                *VOICES[:2], key.namespace, VOICES[2], key.name, _request_timeout=REQUEST_SECONDS
            )
            return dict(await self._count("get", VOICES[2], request))
        return None

    async def identities(self, resource: tuple[str, str, str], namespace: str | None, labels: str) -> Identities:
        """List which objects of a kind there are, in one namespace or all; metadata only."""
        group, version, plural = resource
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        path = f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"
        versions: dict[str, int] = {}
        seen_at, more = "", ""
        while True:
            query = [("limit", str(PAGE)), ("labelSelector", labels), *([("continue", more)] if more else [])]
            request = await self._client.param_serialize(
                method="GET",
                resource_path=path,
                query_params=query,
                header_params={"Accept": METADATA_ONLY},
                auth_settings=["BearerToken"],
            )
            page = await self._count("list", plural, self._json(request))
            found = (item["metadata"] for item in page["items"] or ())  # null if there are none
            versions |= {meta["uid"]: int(meta["resourceVersion"]) for meta in found}
            seen_at = seen_at or page["metadata"]["resourceVersion"]
            more = page["metadata"].get("continue", "")
            if not more:
                return Identities(versions, int(seen_at))

    async def _json(self, request: tuple[Any, ...]) -> Object:
        answer = await self._client.call_api(*request)
        body: bytes = await answer.read()  # type: ignore[no-untyped-call]
        if answer.status != HTTPStatus.OK:
            raise ApiException(status=answer.status, reason=answer.reason, body=body.decode(errors="replace"))
        found: Object = json.loads(body)
        return found

    async def create_job(self, job: Object) -> Object | None:
        """Create a Job; None if it is there already."""
        try:
            request = self._objects.create_namespaced_custom_object(
                *JOBS[:2],
                job["metadata"]["namespace"],
                JOBS[2],
                job,
                field_manager=MANAGER,
                _request_timeout=REQUEST_SECONDS,
            )
            found: Object = await self._count("create", JOBS[2], request)
        except ApiException as error:
            if error.status == HTTPStatus.CONFLICT:
                return None
            raise
        return found

    async def delete_job(self, namespace: str, name: str) -> None:
        """Delete a Job; it stays visible until its pods are gone, so that none runs beside its successor."""
        await self._delete(JOBS, namespace, name, "Foreground")

    async def delete(self, kind: str, key: Key) -> None:
        """Delete a VoiceModel's object of a kind that is applied."""
        await self._delete(APPLIED[kind], key.namespace, key.name, "Background")

    async def _delete(self, resource: tuple[str, str, str], namespace: str, name: str, how: str) -> None:
        with _unless_missing():
            request = self._objects.delete_namespaced_custom_object(
                *resource[:2],
                namespace,
                resource[2],
                name,
                propagation_policy=how,
                _request_timeout=REQUEST_SECONDS,
            )
            await self._count("delete", resource[2], request)

    async def _patch(
        self, resource: tuple[str, str, str], key: Key, body: Any, kind: str, **options: Any
    ) -> Object | None:
        # The client reads the answer only if the status is 200; an object that was created comes by the watch.
        request = self._objects.patch_namespaced_custom_object(
            *resource[:2],
            key.namespace,
            resource[2],
            key.name,
            body,
            _content_type=kind,
            _request_timeout=REQUEST_SECONDS,
            **options,
        )
        found: Object | None = await self._count("patch", resource[2], request)
        return found

    async def patch_job(self, key: Key, patch: Object) -> Object | None:
        """Change a Job by merge patch; None if it is gone."""
        with _unless_missing():
            return await self._patch(JOBS, key, patch, MERGE, field_manager=MANAGER)
        return None

    async def apply(self, wanted: Object, *, ours: bool) -> Object | None:
        """Apply an object server-side: what others own in it stays theirs. None if it was not there before.

        Only one that is `ours` already is changed by force: somebody else's of the same name is a conflict.
        """
        meta = wanted["metadata"]
        key = Key(meta["namespace"], meta["name"])
        return await self._patch(APPLIED[wanted["kind"]], key, wanted, APPLY, field_manager=MANAGER, force=ours)

    async def set_worker_bounds(self, key: Key, bounds: tuple[int, int]) -> Object | None:
        """Give a running RayCluster new bounds of its first worker group, and nothing else; None if it is gone."""
        path = "/spec/workerGroupSpecs/0"
        patch = [
            {"op": "add", "path": f"{path}/minReplicas", "value": bounds[0]},
            {"op": "add", "path": f"{path}/maxReplicas", "value": bounds[1]},
        ]
        with _unless_missing():
            return await self._patch(CLUSTERS, key, patch, JSON_PATCH, field_manager=MANAGER)
        return None

    async def apply_status(self, key: Key, status: Mapping[str, Any]) -> Object | None:
        """Apply a VoiceModel's status server-side; None if it is gone."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "VoiceModel",
            "metadata": {"name": key.name, "namespace": key.namespace},
            "status": status,
        }
        return await self._patch_status(key, body, APPLY, force=True)

    async def replace_status(self, key: Key, status: Mapping[str, Any]) -> Object | None:
        """Put a status in the place of whatever is there; None if the VoiceModel is gone.

        Applying leaves alone what others wrote into fields that have no value now; all of the status is ours.
        """
        return await self._patch_status(key, [{"op": "add", "path": "/status", "value": status}], JSON_PATCH)

    async def _patch_status(self, key: Key, body: Any, kind: str, **options: Any) -> Object | None:
        with _unless_missing():
            request = self._objects.patch_namespaced_custom_object_status(
                *VOICES[:2],
                key.namespace,
                VOICES[2],
                key.name,
                body,
                _content_type=kind,
                field_manager=STATUS_MANAGER,
                _request_timeout=REQUEST_SECONDS,
                **options,
            )
            found: Object | None = await self._count("patch", "voicemodels/status", request)
            return found
        return None

    async def create_event(self, event: Object) -> None:
        """Post an Event."""
        request = self._objects.create_namespaced_custom_object(
            *EVENTS[:2], event["metadata"]["namespace"], EVENTS[2], event, _request_timeout=REQUEST_SECONDS
        )
        await self._count("create", EVENTS[2], request)

    async def lease(self) -> Object | None:
        """Return the operator's Lease, or None if there is none."""
        with _unless_missing():
            namespace, name = self._lease_key
            found: Any = await self._objects.get_namespaced_custom_object(*LEASES[:2], namespace, LEASES[2], name)
            return dict(found)
        return None

    async def write_lease(self, lease: Object) -> bool:
        """Create or replace the Lease; False if somebody else was faster."""
        namespace, name = self._lease_key
        try:
            if "metadata" in lease:
                await self._objects.replace_namespaced_custom_object(*LEASES[:2], namespace, LEASES[2], name, lease)
            else:
                body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease}
                body["metadata"] = {"name": name, "namespace": namespace, "labels": LEASE_LABELS}
                await self._objects.create_namespaced_custom_object(*LEASES[:2], namespace, LEASES[2], body)
        except ApiException as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True
