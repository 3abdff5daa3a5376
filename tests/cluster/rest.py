"""The API server over one connection, for tests with many requests; kubectl needs a process for each."""

import json

from kubernetes import config
from kubernetes.client.exceptions import ApiException

MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
GROUPS = {
    "voicemodels": "apis/kubevoice.io/v1alpha1",
    "voicepools": "apis/kubevoice.io/v1alpha1",
    "jobs": "apis/batch/v1",
    "pods": "api/v1",
    "services": "api/v1",
    "resourcequotas": "api/v1",
    "events": "api/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "rayservices": "apis/ray.io/v1",
    "rayclusters": "apis/ray.io/v1",
    "ingresses": "apis/networking.k8s.io/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "httproutes": "apis/gateway.networking.k8s.io/v1",
}


class Rest:
    """Requests with the rights of a kubeconfig. They fail at once if the server is not reachable."""

    def __init__(self, kubeconfig):
        self._client = config.new_client_from_config(str(kubeconfig))
        self._client.rest_client.pool_manager.connection_pool_kw["retries"] = False

    def close(self):
        self._client.rest_client.pool_manager.clear()

    def call(self, method, path, body=None, kind="application/json"):
        """Return the response's JSON; None if there is no such object. Raise ApiException for any other error."""
        headers = {"Accept": "application/json", "Content-Type": kind}
        request = self._client.param_serialize(
            method, f"/{path}", header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        response = self._client.call_api(*request)
        text = response.read()
        if response.status == 404:
            return None
        if response.status >= 400:
            raise ApiException(status=response.status, reason=response.reason, body=text.decode())
        return json.loads(text)

    def text(self, path):
        """Return a response that is not JSON, such as /metrics."""
        request = self._client.param_serialize("GET", f"/{path}", auth_settings=["BearerToken"])
        return self._client.call_api(*request).read().decode()

    @staticmethod
    def path(plural, namespace, name="", subresource=""):
        parts = (GROUPS[plural], "namespaces", namespace, plural, name, subresource)
        return "/".join(part for part in parts if part)

    def get(self, plural, namespace, name):
        return self.call("GET", self.path(plural, namespace, name))

    def list(self, plural, namespace, selector=""):
        response = self.call("GET", self.path(plural, namespace) + (f"?labelSelector={selector}" if selector else ""))
        return response["items"] if response else []

    def create(self, plural, namespace, body):
        return self.call("POST", self.path(plural, namespace), body)

    def patch(self, plural, namespace, name, body, subresource=""):
        return self.call("PATCH", self.path(plural, namespace, name, subresource), body, MERGE)

    def delete(self, plural, namespace, name):
        return self.call("DELETE", self.path(plural, namespace, name), {"propagationPolicy": "Background"})
