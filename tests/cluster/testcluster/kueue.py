"""Kueue on a node, installed as its own manifests say."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from testcluster.build import MODULES, Toolbox
from testcluster.cluster import Cluster
from testcluster.image import image_archive
from testcluster.worker import import_image

__all__ = ["kueue"]

NAMESPACE = "kueue-system"
IMAGE = "docker.io/kubevoice/kueue:test"
USER = "10001:10001"
START_SECONDS = 180
QUEUES = "localqueues,clusterqueues,resourceflavors"


@contextmanager
def kueue(cluster: Cluster) -> Iterator[Cluster]:
    """Run Kueue on the node of `cluster`, and take it away again: its webhooks hold up every Job."""
    toolbox = Toolbox(MODULES["kueue"])
    toolbox.build(["kueue"])
    config = toolbox.data("config")
    if cluster.sandbox is None:
        raise ValueError("Kueue needs a node")
    archive = image_archive(IMAGE, {"manager": toolbox.binary("kueue")}, {"User": USER})
    import_image(cluster.sandbox, archive)
    objects = [_adapt(item) for item in yaml.safe_load_all(cluster.kubectl("kustomize", config / "default"))]
    # The aggregated API is for people who look at queues, and without it the API server needs no front proxy.
    objects = [item for item in objects if item["kind"] != "APIService"]
    definitions = [item for item in objects if item["kind"] in ("CustomResourceDefinition", "Namespace")]
    others = [item for item in objects if item not in definitions]
    try:
        cluster.apply(definitions)
        cluster.apply(others)
        # Nothing of Kueue's can be applied before its webhooks answer, which is some time after its pod is ready.
        cluster.wait("Kueue's webhooks", lambda: _admits(cluster), START_SECONDS)
        yield cluster
        # Its own finalizers are for Kueue to remove, so this comes before its end.
        cluster.kubectl("delete", QUEUES, "--all", "--all-namespaces")
    finally:
        cluster.delete(others)
        cluster.delete(definitions)


def _adapt(item: dict[str, Any]) -> dict[str, Any]:
    """Return `item` for a node that has our image, and two cores for everything."""
    if item["kind"] == "Deployment":
        (container,) = item["spec"]["template"]["spec"]["containers"]
        container |= {"image": IMAGE, "imagePullPolicy": "Never"}
        container["args"].append("--feature-gates=VisibilityOnDemand=false")
        container["resources"]["requests"]["cpu"] = "50m"
    return item


def _admits(cluster: Cluster) -> bool:
    flavor = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "probe"}}
    try:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(flavor))
    except RuntimeError:
        return False
    return True
