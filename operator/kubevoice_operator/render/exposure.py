"""Renders exposure: an Ingress or an HTTPRoute to the Service that KubeRay creates, and a NetworkPolicy of the pods."""

from typing import Any

from kubevoice.resources.exposure import HttpRoute, IngressRule

from kubevoice_operator.render.names import Owner, object_name, owned_object, owner_label, serve_service
from kubevoice_operator.render.rayservice import DASHBOARD_PORT, METRICS_PORT
from kubevoice_operator.render.serve_config import HTTP_PORT

__all__ = ["CLIENT_LABEL", "render_exposure"]

CLIENT_LABEL = "kubevoice.io/client"
"""Set by users to "true" on pods that may call voices of their namespace, or on a whole namespace."""

Object = dict[str, Any]


def _build_ingress(owner: Owner, ingress: IngressRule) -> Object:
    backend = {"service": {"name": serve_service(object_name(owner)), "port": {"number": HTTP_PORT}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec: Object = {"rules": [{"host": ingress.host, "http": {"paths": paths}}]}
    if ingress.class_name:
        spec["ingressClassName"] = ingress.class_name
    if ingress.tls_secret_name:
        spec["tls"] = [{"hosts": [ingress.host], "secretName": ingress.tls_secret_name}]
    rendered = owned_object(owner, "networking.k8s.io/v1", "Ingress", spec)
    if ingress.annotations:
        rendered["metadata"]["annotations"] = dict(ingress.annotations)
    return rendered


def _build_route(owner: Owner, route: HttpRoute) -> Object:
    spec: Object = {
        "parentRefs": [parent.model_dump(by_alias=True, exclude_none=True) for parent in route.parent_refs],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": serve_service(object_name(owner)), "port": HTTP_PORT}],
            }
        ],
    }
    if route.hostnames:
        spec["hostnames"] = list(route.hostnames)
    return owned_object(owner, "gateway.networking.k8s.io/v1", "HTTPRoute", spec)


def _build_rule(ports: tuple[int, ...], *peers: Object) -> Object:
    rule: Object = {"ports": [{"protocol": "TCP", "port": port} for port in ports]}
    return rule | ({"from": list(peers)} if peers else {})


def _build_peer(**pod_labels: str) -> Object:
    """Return a peer that selects pods of any namespace by the recommended labels."""
    matched = {f"app.kubernetes.io/{name}": value for name, value in pod_labels.items()}
    return {"namespaceSelector": {}, "podSelector": {"matchLabels": matched}}


def _build_policy(owner: Owner) -> Object:
    """Return the NetworkPolicy for ingress to heads and workers; egress is left to the cluster's own policies."""
    own = {"matchLabels": {**owner_label(owner), "app.kubernetes.io/component": "serving"}}
    client = {"matchLabels": {CLIENT_LABEL: "true"}}
    spec: Object = {
        "podSelector": own,
        "policyTypes": ["Ingress"],
        "ingress": [
            _build_rule((HTTP_PORT,), {"podSelector": client}, {"namespaceSelector": client}),
            _build_rule((HTTP_PORT,), _build_peer(name="kubevoice", component="operator")),
            _build_rule((HTTP_PORT, DASHBOARD_PORT), _build_peer(name="kuberay-operator")),
            _build_rule((METRICS_PORT,)),
            {"from": [{"podSelector": own}]},  # on ports that Ray chooses
        ],
    }
    return owned_object(owner, "networking.k8s.io/v1", "NetworkPolicy", spec)


def render_exposure(owner: Owner) -> tuple[Object, ...]:
    """Render the objects that spec.serving.expose asks for, the same for the same owner.

    While serving is suspended there is no Ingress and no HTTPRoute, but terminating pods keep their NetworkPolicy.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.

    Returns
    -------
    tuple of dict
        An Ingress, an HTTPRoute and a NetworkPolicy, those that are wanted.
    """
    serving = owner.spec.serving
    objects: list[Object] = []
    expose = serving.expose
    if expose.network_policy:
        objects.append(_build_policy(owner))
    if expose.ingress is not None and not serving.suspend:
        objects.append(_build_ingress(owner, expose.ingress))
    if expose.http_route is not None and not serving.suspend:
        objects.append(_build_route(owner, expose.http_route))
    return tuple(objects)
