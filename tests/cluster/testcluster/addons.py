"""The services that the product needs: S3 and KubeRay."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from testcluster.build import MODULES, Toolbox, kuberay_crds, kuberay_operator, versitygw
from testcluster.cluster import S3, Cluster
from testcluster.process import Component, check_http, check_tcp
from testcluster.site import Site

__all__ = ["kuberay", "older_kuberay", "storage"]

S3_PORT = 7070
KUBERAY_PROBE_PORT = 8082


def storage(site: Site) -> tuple[Component, S3]:
    """Return the S3 server, and its address and credentials."""
    s3 = S3(f"http://{site.place.address}:{S3_PORT}", "tester", secrets.token_urlsafe(24))
    root = site.state / "s3"
    root.mkdir()
    component = site.component(
        "versitygw",
        {"port": f"{site.place.address}:{S3_PORT}", "region": s3.region},
        check_tcp(site.place.address, S3_PORT),
        program=versitygw(),
        variables={"ROOT_ACCESS_KEY": s3.access_key, "ROOT_SECRET_KEY": s3.secret_key},
    )
    component.command += ["posix", str(root)]
    return component, s3


def kuberay(site: Site) -> Component:
    """Return the KubeRay operator; its CRDs must exist when it starts."""
    address = site.place.address
    flags = {
        "kubeconfig": site.kubeconfig("kuberay-operator", "system:masters"),
        "metrics-addr": f"{address}:8083",
        "health-probe-bind-address": f"{address}:{KUBERAY_PROBE_PORT}",
        "enable-leader-election": False,
    }
    return site.component(
        "kuberay",
        flags,
        check_http(f"http://{address}:{KUBERAY_PROBE_PORT}/readyz"),
        program=site.binary("ray-operator"),
    )


@contextmanager
def older_kuberay(cluster: Cluster, version: str) -> Iterator[Cluster]:
    """Run another version of KubeRay on the node of `cluster` until the end of the block.

    No RayService may exist at the beginning and the end.
    """
    program, crds = kuberay_operator(version), kuberay_crds(version)
    component, toolbox = cluster.components["kuberay"], Toolbox(MODULES["kubernetes"])
    command = component.command
    try:
        component.stop()
        # Replaced, because applying would keep the fields that the older version lacks.
        cluster.kubectl("replace", "-f", crds)
        component.command = [str(program) if word == str(toolbox.binary("ray-operator")) else word for word in command]
        cluster.start("kuberay")
        yield cluster
    finally:
        component.stop()
        cluster.kubectl("replace", "-f", toolbox.data("kuberay-crds"))
        component.command = command
        cluster.start("kuberay")
