"""The programs of a node: containerd, scheduler, kubelet, kube-proxy, CoreDNS."""

import json
import tempfile
from pathlib import Path

import yaml

from testcluster.image import build_image_archive
from testcluster.process import Component, check_http, check_tcp
from testcluster.products import copy_store, torch_mount
from testcluster.sandbox import Sandbox
from testcluster.site import Site
from testcluster.tools import CNI_PLUGINS, find

__all__ = ["NODE_NAME", "containerd", "coredns", "import_image", "import_pause", "kubelet", "proxy", "scheduler"]

NODE_NAME = "node"
PAUSE_IMAGE = "docker.io/kubevoice/pause:test"
DNS_DOMAIN = "cluster.local"
DNS_READY_PORT = 8181
CONTAINERD = "/run/containerd/containerd.sock"
CONTAINERD_CONFIG = """\
version = 2
root = "{state}/containerd"
state = "/run/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
base_runtime_spec = "{state}/container.json"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{state}/cni"
"""
COREFILE = """\
.:53 {{
    bind {address}
    errors
    ready {address}:{ready}
    kubernetes {domain} in-addr.arpa {{
        kubeconfig {kubeconfig}
    }}
}}
"""


def containerd(site: Site, sandbox: Sandbox) -> Component:
    """Return containerd with the product's images."""
    copy_store(site.state / "containerd")
    spec = json.loads(sandbox.run(_find_program("ctr"), "oci", "spec"))
    spec["mounts"].append(torch_mount())
    # Containers get this process's limit of open files: Ray needs more than the runtime's 1024.
    del spec["process"]["rlimits"]
    (site.state / "container.json").write_text(json.dumps(spec))
    _write_network(site)
    config = site.state / "containerd.toml"
    config.write_text(
        CONTAINERD_CONFIG.format(state=site.state, socket=CONTAINERD, pause=PAUSE_IMAGE, plugins=CNI_PLUGINS)
    )

    def ready() -> bool:
        try:
            return "io.containerd.grpc.v1" in sandbox.run(_find_program("ctr"), "plugins", "ls", "id==cri")
        except RuntimeError:
            return False

    return site.component("containerd", {"config": config}, ready, program=_find_program("containerd"))


def import_pause(site: Site, sandbox: Sandbox) -> None:
    """Import the image of the pods' sandbox container into containerd."""
    import_image(sandbox, build_image_archive(PAUSE_IMAGE, {"pause": site.binary("pause")}, {"Entrypoint": ["/pause"]}))


def import_image(sandbox: Sandbox, archive: bytes) -> None:
    """Import an image archive into containerd."""
    with tempfile.NamedTemporaryFile(dir=sandbox.slot.state, suffix=".tar") as file:
        file.write(archive)
        file.flush()
        sandbox.run(_find_program("ctr"), "--namespace=k8s.io", "images", "import", file.name)


def kubelet(site: Site, cgroup: str) -> Component:
    """Return the kubelet; all pods are in `cgroup`."""
    address = site.place.address
    user = f"system:node:{NODE_NAME}"
    certificate, key = site.authority.issue("kubelet", hosts=(address, NODE_NAME))
    resolver = site.state / "resolv.conf"
    resolver.write_text("options ndots:1\n")
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(site.authority.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        # A negative score needs a capability that a container may lack.
        "oomScoreAdj": 0,
        "clusterDNS": [address],
        "clusterDomain": DNS_DOMAIN,
        "resolvConf": str(resolver),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
        # The images are in no registry, and this machine's disk is not the node's own.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }
    path = site.state / "kubelet.yaml"
    path.write_text(yaml.safe_dump(config))
    flags = {
        "config": path,
        "kubeconfig": site.kubeconfig(user, "system:nodes"),
        "root-dir": site.state / "kubelet",
        "hostname-override": NODE_NAME,
        "node-ip": address,
    }
    return site.component("kubelet", flags, check_tcp(address, 10250))


def scheduler(site: Site) -> Component:
    """Return the scheduler."""
    kubeconfig = site.kubeconfig("system:kube-scheduler")
    return site.component(
        "kube-scheduler", {"kubeconfig": kubeconfig, "leader-elect": False, "secure-port": 0}, lambda: True
    )


def proxy(site: Site) -> Component:
    """Return kube-proxy."""
    address = site.place.address
    flags = {
        "kubeconfig": site.kubeconfig("system:kube-proxy"),
        "hostname-override": NODE_NAME,
        "cluster-cidr": site.ranges.pods,
        "proxy-mode": "iptables",
        "healthz-bind-address": f"{address}:10256",
        "metrics-bind-address": "127.0.0.1:10249",
        # These settings are the kernel's, not the namespace's.
        "conntrack-max-per-core": 0,
        "conntrack-tcp-timeout-established": 0,
        "conntrack-tcp-timeout-close-wait": 0,
    }
    return site.component("kube-proxy", flags, check_http(f"http://{address}:10256/healthz"))


def coredns(site: Site) -> Component:
    """Return CoreDNS, which resolves only names of the cluster."""
    address = site.place.address
    corefile = site.state / "Corefile"
    corefile.write_text(
        COREFILE.format(
            address=address,
            ready=DNS_READY_PORT,
            domain=DNS_DOMAIN,
            kubeconfig=site.kubeconfig("coredns", "system:masters"),
        )
    )
    return site.component("coredns", {"conf": corefile}, check_http(f"http://{address}:{DNS_READY_PORT}/ready"))


def _write_network(site: Site) -> None:
    """Write the CNI config: each pod has a point-to-point link to the node, which routes between them."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": site.ranges.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(site.state / "addresses"),
    }
    plugins = [{"type": "ptp", "ipam": addresses}]
    folder = site.state / "cni"
    folder.mkdir()
    network = {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}
    (folder / "10-pods.conflist").write_text(json.dumps(network))


def _find_program(program: str) -> Path:
    path = find(program)
    if path is None:
        raise FileNotFoundError(program)
    return Path(path)
