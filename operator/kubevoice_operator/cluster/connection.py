"""Connects to the Kubernetes API."""

from urllib.request import getproxies

from kubernetes.aio import client, config

__all__ = ["load_client"]


async def load_client() -> client.ApiClient:
    """Create a client of the cluster that this process runs in, or else of the user's kubeconfig.

    Returns
    -------
    kubernetes.aio.client.ApiClient
        The caller closes it.

    Raises
    ------
    kubernetes.config.ConfigException
        If there is neither a service account nor a kubeconfig.
    """
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    # Finding a proxy and reading ~/.netrc costs two threads a request, so it is done only if a proxy is set.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    return client.ApiClient(configuration)
