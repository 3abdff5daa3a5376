"""Kueue on a node, installed from its own manifests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from testcluster.build import MODULES, Toolbox
from testcluster.cluster import Cluster
from testcluster.image import build_image_archive
from testcluster.worker import import_image

__all__ = ["kueue"]

NAMESPACE = "kueue-system"
IMAGE = "docker.io/kubevoice/kueue:test"
USER = "10001:10001"
START_SECONDS = 180
QUEUES = "localqueues,clusterqueues,resourceflavors"


@contextmanager
def kueue(cluster: Cluster) -> Iterator[Cluster]:
    """Run Kueue on the node of `cluster` until the end of the block. Its webhooks delay every Job."""
    toolbox = Toolbox(MODULES["kueue"])
    toolbox.build(["kueue"])
    config = toolbox.data("config")
    if cluster.sandbox is None:
        raise ValueError("Kueue needs a node")
    archive = build_image_archive(IMAGE, {"manager": toolbox.binary("kueue")}, {"User": USER})
    import_image(cluster.sandbox, archive)
    objects = [_adapt(item) for item in yaml.safe_load_all(cluster.kubectl("kustomize", config / "default"))]
    # The aggregated API only shows queues; without it the API server needs no front proxy.
    objects = [item for item in objects if item["kind"] != "APIService"]
    definitions = [item for item in objects if item["kind"] in ("CustomResourceDefinition", "Namespace")]
    others = [item for item in objects if item not in definitions]
    try:
        cluster.apply(definitions)
        cluster.apply(others)
        # Kueue's objects can be applied when its webhooks answer, some time after its pod is ready.
        cluster.wait("Kueue's webhooks", lambda: _webhooks_answer(cluster), START_SECONDS)
        yield cluster
        # Kueue removes the finalizers of its objects, so they are deleted while it runs.
        cluster.kubectl("delete", QUEUES, "--all", "--all-namespaces")
    finally:
        cluster.delete(others)
        cluster.delete(definitions)


def _adapt(item: dict[str, Any]) -> dict[str, Any]:
    """Adapt a Deployment to the image on the node and to a machine of two cores; return other objects as they are."""
    if item["kind"] == "Deployment":
        (container,) = item["spec"]["template"]["spec"]["containers"]
        container |= {"image": IMAGE, "imagePullPolicy": "Never"}
        container["args"].append("--feature-gates=VisibilityOnDemand=false")
        container["resources"]["requests"]["cpu"] = "50m"
    return item


def _webhooks_answer(cluster: Cluster) -> bool:
    flavor = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "probe"}}
    try:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(flavor))
    except RuntimeError:
        return False
    return True
