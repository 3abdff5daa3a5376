"""Renders exposure: an Ingress or an HTTPRoute to the Service that KubeRay creates, and a NetworkPolicy of the pods."""

from typing import Any

from kubevoice.resources.exposure import HttpRoute, IngressRule
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.render.names import VOICE_LABEL, serve_service, voice_object
from kubevoice_operator.render.rayservice import DASHBOARD_PORT, METRICS_PORT
from kubevoice_operator.render.serve_config import HTTP_PORT

__all__ = ["CLIENT_LABEL", "render_exposure"]

CLIENT_LABEL = "kubevoice.io/client"
"""Set by users to "true" on pods that may call voices of their namespace, or on a whole namespace."""

Object = dict[str, Any]


def _build_ingress(model: VoiceModel, ingress: IngressRule) -> Object:
    backend = {"service": {"name": serve_service(model.metadata.name), "port": {"number": HTTP_PORT}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec: Object = {"rules": [{"host": ingress.host, "http": {"paths": paths}}]}
    if ingress.class_name:
        spec["ingressClassName"] = ingress.class_name
    if ingress.tls_secret_name:
        spec["tls"] = [{"hosts": [ingress.host], "secretName": ingress.tls_secret_name}]
    rendered = voice_object(model, "networking.k8s.io/v1", "Ingress", spec)
    if ingress.annotations:
        rendered["metadata"]["annotations"] = dict(ingress.annotations)
    return rendered


def _build_route(model: VoiceModel, route: HttpRoute) -> Object:
    spec: Object = {
        "parentRefs": [parent.model_dump(by_alias=True, exclude_none=True) for parent in route.parent_refs],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": serve_service(model.metadata.name), "port": HTTP_PORT}],
            }
        ],
    }
    if route.hostnames:
        spec["hostnames"] = list(route.hostnames)
    return voice_object(model, "gateway.networking.k8s.io/v1", "HTTPRoute", spec)


def _build_rule(ports: tuple[int, ...], *peers: Object) -> Object:
    rule: Object = {"ports": [{"protocol": "TCP", "port": port} for port in ports]}
    return rule | ({"from": list(peers)} if peers else {})


def _build_peer(**pod_labels: str) -> Object:
    """Return a peer that selects pods of any namespace by the recommended labels."""
    matched = {f"app.kubernetes.io/{name}": value for name, value in pod_labels.items()}
    return {"namespaceSelector": {}, "podSelector": {"matchLabels": matched}}


def _build_policy(model: VoiceModel) -> Object:
    """Return the NetworkPolicy for ingress to heads and workers; egress is left to the cluster's own policies."""
    own = {"matchLabels": {VOICE_LABEL: model.metadata.name, "app.kubernetes.io/component": "serving"}}
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
    return voice_object(model, "networking.k8s.io/v1", "NetworkPolicy", spec)


def render_exposure(model: VoiceModel) -> tuple[Object, ...]:
    """Render the objects that spec.serving.expose asks for, the same for the same VoiceModel.

    While serving is suspended there is no Ingress and no HTTPRoute, but terminating pods keep their NetworkPolicy.

    Parameters
    ----------
    model
        The VoiceModel.

    Returns
    -------
    tuple of dict
        An Ingress, an HTTPRoute and a NetworkPolicy, those that are wanted.
    """
    serving = model.spec.serving
    objects: list[Object] = []
    expose = serving.expose
    if expose.network_policy:
        objects.append(_build_policy(model))
    if expose.ingress is not None and not serving.suspend:
        objects.append(_build_ingress(model, expose.ingress))
    if expose.http_route is not None and not serving.suspend:
        objects.append(_build_route(model, expose.http_route))
    return tuple(objects)
