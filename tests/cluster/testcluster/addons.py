"""What the product stands on: S3, and KubeRay."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from testcluster.build import MODULES, Toolbox, kuberay_crds, kuberay_operator, versitygw
from testcluster.cluster import S3, Cluster
from testcluster.process import Component, accepts, answers
from testcluster.site import Site

__all__ = ["kuberay", "older", "storage"]

S3_PORT = 7070
KUBERAY_PROBE_PORT = 8082


def storage(site: Site) -> tuple[Component, S3]:
    """Return the S3 server, and how to reach it."""
    s3 = S3(f"http://{site.place.address}:{S3_PORT}", "tester", secrets.token_urlsafe(24))
    root = site.state / "s3"
    root.mkdir()
    component = site.component(
        "versitygw",
        {"port": f"{site.place.address}:{S3_PORT}", "region": s3.region},
        accepts(site.place.address, S3_PORT),
        program=versitygw(),
        variables={"ROOT_ACCESS_KEY": s3.access_key, "ROOT_SECRET_KEY": s3.secret_key},
    )
    component.command += ["posix", str(root)]
    return component, s3


def kuberay(site: Site) -> Component:
    """Return the KubeRay operator; its CRDs must be there when it starts."""
    address = site.place.address
    flags = {
        "kubeconfig": site.kubeconfig("kuberay-operator", "system:masters"),
        "metrics-addr": f"{address}:8083",
        "health-probe-bind-address": f"{address}:{KUBERAY_PROBE_PORT}",
        "enable-leader-election": False,
    }
    return site.component(
        "kuberay", flags, answers(f"http://{address}:{KUBERAY_PROBE_PORT}/readyz"), program=site.binary("ray-operator")
    )


@contextmanager
def older(cluster: Cluster, version: str) -> Iterator[Cluster]:
    """Run KubeRay of another version on the node of `cluster`; nothing may be served when it comes or goes."""
    program, crds = kuberay_operator(version), kuberay_crds(version)
    component, toolbox = cluster.components["kuberay"], Toolbox(MODULES["kubernetes"])
    newest = component.command
    try:
        component.stop()
        # Not applied, which would leave the fields that came later.
        cluster.kubectl("replace", "-f", crds)
        component.command = [str(program) if word == str(toolbox.binary("ray-operator")) else word for word in newest]
        cluster.start("kuberay")
        yield cluster
    finally:
        component.stop()
        cluster.kubectl("replace", "-f", toolbox.data("kuberay-crds"))
        component.command = newest
        cluster.start("kuberay")
