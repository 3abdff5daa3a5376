"""The Kubernetes API: the few requests that the operator makes, with objects as plain dicts."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from kubevoice.resources.voicemodel import GROUP, VERSION

from kubevoice_operator.cluster.keys import Key, OwnerKey, PoolKey
from kubevoice_operator.cluster.requests import ApiException, ApiRequests, Identities, Resource, ignore_missing

__all__ = ["KubernetesApi"]

Object = dict[str, Any]
VOICES, POOLS = Resource(GROUP, VERSION, "voicemodels"), Resource(GROUP, VERSION, "voicepools")
JOBS = Resource("batch", "v1", "jobs")
CLUSTERS = Resource("ray.io", "v1", "rayclusters")
APPLIED = {
    "RayService": Resource("ray.io", "v1", "rayservices"),
    "NetworkPolicy": Resource("networking.k8s.io", "v1", "networkpolicies"),
    "Ingress": Resource("networking.k8s.io", "v1", "ingresses"),
    "HTTPRoute": Resource("gateway.networking.k8s.io", "v1", "httproutes"),
}
"""Kinds that are applied server-side. Each owner has one object of a kind."""
MANAGER = "kubevoice-operator"
STATUS_MANAGER = "kubevoice-operator-status"
"""Field managers of objects and of statuses; `kubectl get --show-managed-fields` shows which of them wrote a field."""
APPLY, MERGE, JSON_PATCH = (
    "application/apply-patch+yaml",
    "application/merge-patch+json",
    "application/json-patch+json",
)


class KubernetesApi:
    """The operator's requests. What each raises is what `ApiRequests` raises.

    Attributes
    ----------
    requests
        Sends the requests.
    """

    def __init__(self, requests: ApiRequests) -> None:
        self.requests = requests

    async def get_voice(self, key: Key) -> Object | None:
        """Read a VoiceModel from the server.

        Parameters
        ----------
        key
            Its namespace and name.

        Returns
        -------
        dict or None
            The VoiceModel; None if there is none.
        """
        with ignore_missing():
            return await self.requests.get(VOICES, key)
        return None

    async def list_identities(self, resource: tuple[str, str, str], namespace: str | None, labels: str) -> Identities:
        """List the objects of a resource, metadata only.

        Parameters
        ----------
        resource
            Group, version and plural name.
        namespace
            The namespace to list; None for all.
        labels
            A label selector; empty for all objects.

        Returns
        -------
        Identities
            Their UIDs and versions.
        """
        return await self.requests.list_identities(Resource(*resource), namespace, labels)

    async def is_discoverable(self, resource: tuple[str, str, str]) -> bool:
        """Return whether the API server's discovery shows a resource.

        Discovery follows a new CustomResourceDefinition by seconds; the resource can be listed before.

        Parameters
        ----------
        resource
            Named group, version and plural name.

        Returns
        -------
        bool
            Whether a client that discovers resources can find it.
        """
        group, version, plural = resource
        groups = await self.requests.read_json("get", "apis", "/apis")
        shown = (item["groupVersion"] for entry in groups["groups"] for item in entry["versions"])
        if f"{group}/{version}" in shown:
            with ignore_missing():
                served = await self.requests.read_json("get", "apis", f"/apis/{group}/{version}")
                return any(item["name"] == plural for item in served["resources"])
        return False

    async def create_job(self, job: Object) -> Object | None:
        """Create a Job.

        Parameters
        ----------
        job
            The Job as it was rendered.

        Returns
        -------
        dict or None
            The Job as it was created; None if one of this name exists.
        """
        try:
            return await self.requests.create(JOBS, job, field_manager=MANAGER)
        except ApiException as error:
            if error.status == HTTPStatus.CONFLICT:
                return None
            raise

    async def delete_job(self, key: Key) -> None:
        """Delete a Job. It stays visible until its pods are gone, so that none runs beside its successor.

        Parameters
        ----------
        key
            Namespace and name of the Job.
        """
        await self.requests.delete(JOBS, key, "Foreground")

    async def delete(self, kind: str, key: Key) -> None:
        """Delete an object of a kind that is applied.

        Parameters
        ----------
        kind
            Its kind, one of APPLIED.
        key
            Its namespace and name.
        """
        await self.requests.delete(APPLIED[kind], key, "Background")

    async def delete_cluster(self, key: Key) -> None:
        """Delete a RayCluster.

        Parameters
        ----------
        key
            Its namespace and name.
        """
        await self.requests.delete(CLUSTERS, key, "Background")

    async def patch_job(self, key: Key, patch: Object) -> Object | None:
        """Change a Job.

        Parameters
        ----------
        key
            Namespace and name of the Job.
        patch
            A merge patch.

        Returns
        -------
        dict or None
            The Job after the patch; None if it is gone.
        """
        with ignore_missing():
            return await self.requests.patch(JOBS, key, patch, MERGE, field_manager=MANAGER)
        return None

    async def apply(self, rendered: Object, *, ours: bool) -> Object | None:
        """Apply an object server-side: fields that other managers own stay as they are.

        Parameters
        ----------
        rendered
            The object.
        ours
            Whether the operator created the object that has this name. Only then are conflicts forced: an object of
            another owner must not be taken over.

        Returns
        -------
        dict or None
            The object after the change; None if it did not exist before.
        """
        meta = rendered["metadata"]
        key = Key(meta["namespace"], meta["name"])
        return await self.requests.patch(
            APPLIED[rendered["kind"]], key, rendered, APPLY, field_manager=MANAGER, force=ours
        )

    async def set_worker_bounds(self, key: Key, bounds: tuple[int, int]) -> Object | None:
        """Set the bounds of a RayCluster's first worker group, and nothing else.

        Parameters
        ----------
        key
            Namespace and name of the RayCluster.
        bounds
            Minimum and maximum number of workers.

        Returns
        -------
        dict or None
            The RayCluster after the change; None if it is gone.
        """
        path = "/spec/workerGroupSpecs/0"
        patch = [
            {"op": "add", "path": f"{path}/minReplicas", "value": bounds[0]},
            {"op": "add", "path": f"{path}/maxReplicas", "value": bounds[1]},
        ]
        with ignore_missing():
            return await self.requests.patch(CLUSTERS, key, patch, JSON_PATCH, field_manager=MANAGER)
        return None

    async def replace_status(self, key: OwnerKey, version: str, status: Mapping[str, Any]) -> Object | None:
        """Replace the status of a VoiceModel or a VoicePool.

        Parameters
        ----------
        key
            Its namespace and name.
        version
            The resourceVersion that it must have; otherwise the API server answers with a conflict.
        status
            The status.

        Returns
        -------
        dict or None
            The object after the change; None if it is gone.
        """
        resource = POOLS if isinstance(key, PoolKey) else VOICES
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": status},
        ]
        with ignore_missing():
            return await self.requests.patch(
                resource, key, patch, JSON_PATCH, status=True, field_manager=STATUS_MANAGER
            )
        return None

    async def list_warnings(self, namespace: str, uid: str) -> list[Object]:
        """List the warnings about an object.

        Parameters
        ----------
        namespace
            Its namespace.
        uid
            Its UID.

        Returns
        -------
        list of dict
            Events (core/v1), at most 50.
        """
        query = [("fieldSelector", f"involvedObject.uid={uid},type=Warning"), ("limit", "50")]
        answer = await self.requests.read_json("list", "events", f"/api/v1/namespaces/{namespace}/events", query=query)
        return list(answer["items"])

    async def create_event(self, event: Object) -> None:
        """Post an Event.

        Parameters
        ----------
        event
            The object (core/v1).
        """
        await self.requests.create_event(event)
