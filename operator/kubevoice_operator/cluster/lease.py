"""The operator's Lease on the API server. Its requests are not counted: they are made every two seconds."""

from http import HTTPStatus
from typing import Any

from kubernetes.aio import client

from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.cluster.requests import ApiException, ignore_missing

__all__ = ["LEASES", "LEASE_LABELS", "LeaseClient"]

Lease = dict[str, Any]
LEASES = ("coordination.k8s.io", "v1", "leases")
LEASE_LABELS = {"app.kubernetes.io/name": "kubevoice", "app.kubernetes.io/component": "operator"}


class LeaseClient:
    """Reads and writes one Lease.

    Parameters
    ----------
    api
        The client; the caller closes it.
    key
        Namespace and name of the Lease.
    """

    def __init__(self, api: client.ApiClient, key: Key) -> None:
        self._objects = client.CustomObjectsApi(api)
        self._key = key

    async def read_lease(self) -> Lease | None:
        """Read the Lease.

        Returns
        -------
        dict or None
            The Lease; None if there is none.

        Raises
        ------
        ApiException, aiohttp.ClientError, OSError
            If the API server answers with another error, or not at all.
        """
        group, version, plural = LEASES
        with ignore_missing():
            lease: Any = await self._objects.get_namespaced_custom_object(
                group, version, self._key.namespace, plural, self._key.name
            )
            return dict(lease)
        return None

    async def write_lease(self, lease: Lease) -> bool:
        """Create or replace the Lease.

        Parameters
        ----------
        lease
            The Lease as it was read, with a new spec; without metadata it is created.

        Returns
        -------
        bool
            False if another process changed it first.

        Raises
        ------
        ApiException, aiohttp.ClientError, OSError
            If the API server answers with an error other than a conflict, or not at all.
        """
        group, version, plural = LEASES
        namespace, name = self._key
        try:
            if "metadata" in lease:
                await self._objects.replace_namespaced_custom_object(group, version, namespace, plural, name, lease)
            else:
                body = {"apiVersion": f"{group}/{version}", "kind": "Lease", **lease}
                body["metadata"] = {"name": name, "namespace": namespace, "labels": LEASE_LABELS}
                await self._objects.create_namespaced_custom_object(group, version, namespace, plural, body)
        except ApiException as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True
