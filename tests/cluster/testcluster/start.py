"""Starts and ends the two kinds of cluster: a control plane, and a node."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from testcluster.addons import kuberay, storage
from testcluster.build import CONTROL_PLANE, MODULES, NODE, Toolbox, versitygw
from testcluster.cluster import Cluster
from testcluster.controlplane import api_server, controller_manager, etcd
from testcluster.pki import Authority
from testcluster.places import Loopback
from testcluster.process import Component
from testcluster.sandbox import Sandbox, Slot
from testcluster.site import Ports, Ranges, Site
from testcluster.tools import UnavailableError, find, require_for_node, temporary_folder
from testcluster.worker import containerd, coredns, import_pause, kubelet, proxy, scheduler

__all__ = ["control_plane", "node"]

LOOPBACK_RANGES = Ranges(services="198.18.0.0/20", first_service="198.18.0.1", pods="198.18.16.0/20")
"""Unused addresses, because there are no pods."""


@contextmanager
def control_plane() -> Iterator[Cluster]:
    """Run an API server with its controllers on loopback until the end of the block.

    With KUBEVOICE_TEST_EXISTING=1 use the cluster of KUBECONFIG instead. KUBEBUILDER_ASSETS may name a folder with
    programs of another version; programs that it lacks are built.
    """
    if os.environ.get("KUBEVOICE_TEST_EXISTING") == "1":
        with temporary_folder("kv-existing-") as scratch:
            yield _use_existing(scratch)
        return
    binary = _build_control_plane_binaries()
    with ExitStack() as stack:
        state = stack.enter_context(temporary_folder("kv-plane-"))
        site = Site(Loopback(), state, binary, Authority(state / "pki"), LOOPBACK_RANGES, _find_free_ports())
        cluster = _build_cluster(site)
        for build_component in (etcd, api_server, controller_manager):
            component = build_component(site)
            cluster.components[component.name] = component
            # They stop in reverse order.
            stack.callback(component.stop)
            component.start()
            component.wait()
        cluster.wait_for_namespace("default")
        yield cluster


@contextmanager
def node() -> Iterator[Cluster]:
    """Run a node until the end of the block."""
    require_for_node()
    toolbox = Toolbox(MODULES["kubernetes"])
    toolbox.build(NODE)
    versitygw()
    crds = toolbox.data("kuberay-crds")
    with ExitStack() as stack:
        slot = Slot.acquire()
        sandbox = Sandbox(slot, toolbox.binary("pause"))
        stack.callback(sandbox.close)
        slot.state.mkdir(mode=0o700)
        services, pods, *_ = slot.networks
        ranges = Ranges(str(services), str(services[1]), str(pods))
        site = Site(sandbox, slot.state, toolbox.binary, Authority(slot.state / "pki"), ranges, Ports())
        cluster = _build_cluster(site)
        cluster.sandbox = sandbox
        stack.callback(cluster.end)
        _start_node(cluster, site, sandbox, crds)
        yield cluster


def _start_node(cluster: Cluster, site: Site, sandbox: Sandbox, crds: Path) -> None:
    def start(component: Component) -> None:
        cluster.components[component.name] = component
        component.start()

    s3_server, cluster.s3 = storage(site)
    for component in (etcd(site), api_server(site), containerd(site, sandbox), s3_server):
        start(component)
    cluster.components["containerd"].wait()
    import_pause(site, sandbox)
    cluster.components["kube-apiserver"].wait()
    cgroup = f"/{sandbox.slot.name}"
    for component in (controller_manager(site), scheduler(site), kubelet(site, cgroup), proxy(site), coredns(site)):
        start(component)
    cluster.kubectl("create", "-f", crds)
    cluster.wait_for_kinds("ray.io/v1", "rayclusters", "raycronjobs", "rayjobs", "rayservices")
    # KubeRay calls Ray's dashboards by their Services' names, so these must resolve on the node.
    sandbox.use_dns_server(site.place.address)
    start(kuberay(site))
    for component in cluster.components.values():
        component.wait()
    cluster.wait_for_namespace("default")
    cluster.wait("the node to be ready", _node_is_ready(cluster), 60)


def _node_is_ready(cluster: Cluster) -> Callable[[], bool]:
    path = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
    return lambda: cluster.kubectl("get", "nodes", "-o", path) == "True"


def _build_cluster(site: Site) -> Cluster:
    scratch = site.state / "scratch"
    scratch.mkdir()
    return Cluster(site.kubeconfig("admin", "system:masters"), site.binary("kubectl"), scratch)


def _use_existing(scratch: Path) -> Cluster:
    if not (config := os.environ.get("KUBECONFIG")):
        raise UnavailableError("KUBEVOICE_TEST_EXISTING=1 needs KUBECONFIG")
    if not (kubectl := find("kubectl")):
        raise UnavailableError("KUBEVOICE_TEST_EXISTING=1 needs kubectl")
    return Cluster(Path(config), Path(kubectl), scratch)


def _build_control_plane_binaries() -> Callable[[str], Path]:
    if not find("setpriv"):
        raise UnavailableError("a control plane needs setpriv, of the Debian package util-linux")
    toolbox = Toolbox(MODULES["kubernetes"])
    paths = {}
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        candidates = {name: Path(assets) / name for name in CONTROL_PLANE}
        paths = {name: path for name, path in candidates.items() if path.exists()}
    toolbox.build([name for name in CONTROL_PLANE if name not in paths])
    return lambda name: paths.get(name) or toolbox.binary(name)


def _find_free_ports() -> Ports:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(3)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return Ports(*(probe.getsockname()[1] for probe in probes))
