"""Requests to the Kubernetes API, one method for each verb. Every request is counted, and only the leader writes."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from kubevoice_operator.cluster.keys import OwnerKey
from kubevoice_operator.cluster.metrics import OperatorMetrics

__all__ = ["ApiException", "ApiRequests", "Identities", "Resource", "ignore_missing"]

Object = dict[str, Any]
READ_VERBS = ("get", "list")
REQUEST_SECONDS = 30.0
PAGE_SIZE = 500
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Resource(NamedTuple):
    """Group, version and plural name of a resource."""

    group: str
    version: str
    plural: str


class Identities(NamedTuple):
    """Resource versions of the objects in a list, by UID, and the resource version of the list."""

    versions: dict[str, int]
    version: int


@contextmanager
def ignore_missing() -> Iterator[None]:
    """Ignore the API server's answer that an object does not exist; let any other error through.

    Raises
    ------
    ApiException
        For any other answer than 404.
    """
    try:
        yield
    except ApiException as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise


class ApiRequests:
    """Sends requests and counts them.

    Every method raises `ApiException` if the API server answers with an error, and `aiohttp.ClientError`, `OSError` or
    `TimeoutError` if it does not answer within REQUEST_SECONDS. A method that writes raises `TimeoutError` too if this
    process no longer leads.

    Attributes
    ----------
    may_write
        Whether this process may change objects. Set once by `process.lead_if_elected`; without election it is always
        True.
    """

    may_write: Callable[[], bool] = staticmethod(lambda: True)

    def __init__(self, api: client.ApiClient, metrics: OperatorMetrics) -> None:
        self._client, self._objects, self._core = api, client.CustomObjectsApi(api), client.CoreV1Api(api)
        self._metrics = metrics

    async def _send(self, verb: str, plural: str, request: Any) -> Any:
        if verb not in READ_VERBS and not self.may_write():
            request.close()
            raise TimeoutError("another process may hold the lease by now")
        code = "error"
        try:
            answer = await request
            code = "200"
        except ApiException as error:
            code = str(error.status)
            raise
        finally:
            self._metrics.api_requests.labels(verb, plural, code).inc()
        return answer

    async def get(self, resource: Resource, key: OwnerKey) -> Object:
        """Read an object.

        Parameters
        ----------
        resource
            Its resource.
        key
            Its namespace and name.

        Returns
        -------
        dict
            The object.
        """
        request = self._objects.get_namespaced_custom_object(
            resource.group,
            resource.version,
            key.namespace,
            resource.plural,
            key.name,
            _request_timeout=REQUEST_SECONDS,
        )
        return dict(await self._send("get", resource.plural, request))

    async def list_identities(self, resource: Resource, namespace: str | None, labels: str) -> Identities:
        """List the objects of a resource, metadata only.

        Parameters
        ----------
        resource
            The resource.
        namespace
            The namespace to list; None for all.
        labels
            A label selector; empty for all objects.

        Returns
        -------
        Identities
            Their UIDs and versions.
        """
        root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        path = f"{root}/namespaces/{namespace}/{resource.plural}" if namespace else f"{root}/{resource.plural}"
        versions: dict[str, int] = {}
        list_version, continuation = "", ""
        while True:
            query = [("limit", str(PAGE_SIZE)), ("labelSelector", labels), ("continue", continuation)]
            page = await self.read_json("list", resource.plural, path, METADATA_ONLY, query)
            items = (item["metadata"] for item in page["items"] or ())  # null if there are none
            versions |= {meta["uid"]: int(meta["resourceVersion"]) for meta in items}
            list_version = list_version or page["metadata"]["resourceVersion"]
            continuation = page["metadata"].get("continue", "")
            if not continuation:
                return Identities(versions, int(list_version))

    async def read_json(
        self, verb: str, plural: str, path: str, accept: str = "application/json", query: Sequence[tuple[str, str]] = ()
    ) -> Object:
        """Read JSON that the Python client has no method for.

        Parameters
        ----------
        verb, plural
            How the request is counted.
        path
            The path on the API server.
        accept
            The media type of the answer.
        query
            Parameters; those without a value are left out.

        Returns
        -------
        dict
            The answer.
        """
        request = await self._client.param_serialize(
            method="GET",
            resource_path=path,
            query_params=[(name, value) for name, value in query if value],
            header_params={"Accept": accept},
            auth_settings=["BearerToken"],
        )
        page: Object = await self._send(verb, plural, self._call(request))
        return page

    async def _call(self, request: tuple[Any, ...]) -> Object:
        answer = await self._client.call_api(*request)
        body: bytes = await answer.read()  # type: ignore[no-untyped-call]
        if answer.status != HTTPStatus.OK:
            raise ApiException(status=answer.status, reason=answer.reason, body=body.decode(errors="replace"))
        page: Object = json.loads(body)
        return page

    async def create(self, resource: Resource, body: Object, **options: Any) -> Object:
        """Create an object.

        Parameters
        ----------
        resource
            Its resource.
        body
            The object; its metadata name the namespace.
        **options
            Further arguments of the Python client's request.

        Returns
        -------
        dict
            The object as it was created.
        """
        request = self._objects.create_namespaced_custom_object(
            resource.group,
            resource.version,
            body["metadata"]["namespace"],
            resource.plural,
            body,
            _request_timeout=REQUEST_SECONDS,
            **options,
        )
        created: Object = await self._send("create", resource.plural, request)
        return created

    async def create_event(self, event: Any) -> None:
        """Post an Event.

        Parameters
        ----------
        event
            The object (core/v1).
        """
        request = self._core.create_namespaced_event(
            event["metadata"]["namespace"], event, _request_timeout=REQUEST_SECONDS
        )
        await self._send("create", "events", request)

    async def delete(self, resource: Resource, key: OwnerKey, propagation: str) -> None:
        """Delete an object; one that does not exist is not an error.

        Parameters
        ----------
        resource
            Its resource.
        key
            Its namespace and name.
        propagation
            "Foreground" or "Background", as Kubernetes defines them.
        """
        with ignore_missing():
            request = self._objects.delete_namespaced_custom_object(
                resource.group,
                resource.version,
                key.namespace,
                resource.plural,
                key.name,
                propagation_policy=propagation,
                _request_timeout=REQUEST_SECONDS,
            )
            await self._send("delete", resource.plural, request)

    async def patch(
        self, resource: Resource, key: OwnerKey, body: Any, content_type: str, *, status: bool = False, **options: Any
    ) -> Object | None:
        """Patch an object, or its status.

        Parameters
        ----------
        resource
            Its resource.
        key
            Its namespace and name.
        body
            The patch.
        content_type
            The media type of the patch.
        status
            Whether to patch the status subresource.
        **options
            Further arguments of the Python client's request.

        Returns
        -------
        dict or None
            The object after the patch; None if it did not exist before. The client reads the answer only if its status
            is 200, so an object that was created comes by the watch.
        """
        send = (
            self._objects.patch_namespaced_custom_object_status
            if status
            else self._objects.patch_namespaced_custom_object
        )
        request = send(
            resource.group,
            resource.version,
            key.namespace,
            resource.plural,
            key.name,
            body,
            _content_type=content_type,
            _request_timeout=REQUEST_SECONDS,
            **options,
        )
        patched: Object | None = await self._send(
            "patch", f"{resource.plural}/status" if status else resource.plural, request
        )
        return patched
