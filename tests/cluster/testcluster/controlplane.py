"""The control plane: etcd, kube-apiserver and kube-controller-manager."""

from testcluster.process import Component, check_http
from testcluster.site import Site

__all__ = ["api_server", "controller_manager", "etcd"]

ISSUER = "https://kubernetes.default.svc"


def etcd(site: Site) -> Component:
    """Return etcd. It does not sync to disk, because no test outlives the machine."""
    clients, peers = (f"http://127.0.0.1:{port}" for port in (site.ports.etcd, site.ports.etcd_peers))
    flags = {
        "data-dir": site.state / "etcd",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "unsafe-no-fsync": True,
        "log-level": "warn",
    }
    # The API server is ready only when etcd is, so etcd needs no check of its own.
    return site.component("etcd", flags, lambda: True)


def api_server(site: Site) -> Component:
    """Return the API server."""
    address = site.place.address
    hosts = (address, site.ranges.first_service, "localhost", "127.0.0.1", "kubernetes.default.svc", "kubernetes")
    certificate, key = site.authority.issue("kube-apiserver", hosts=hosts)
    client_certificate, client_key = site.authority.issue("kube-apiserver-kubelet-client", "system:masters")
    flags = {
        "etcd-servers": f"http://127.0.0.1:{site.ports.etcd}",
        "bind-address": address,
        "advertise-address": address,
        "secure-port": site.ports.api,
        "service-cluster-ip-range": site.ranges.services,
        "client-ca-file": site.authority.certificate,
        "tls-cert-file": certificate,
        "tls-private-key-file": key,
        "kubelet-client-certificate": client_certificate,
        "kubelet-client-key": client_key,
        "kubelet-certificate-authority": site.authority.certificate,
        # Otherwise logs and exec would need DNS for the node's name.
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": ISSUER,
        "service-account-key-file": site.authority.signing_key,
        "service-account-signing-key-file": site.authority.signing_key,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": True,
    }
    return site.component("kube-apiserver", flags, check_http(f"{site.server}/readyz"))


def controller_manager(site: Site) -> Component:
    """Return the controller manager: garbage collection, namespaces, service accounts, Jobs, endpoints."""
    flags = {
        "kubeconfig": site.kubeconfig("system:kube-controller-manager"),
        "use-service-account-credentials": True,
        "service-account-private-key-file": site.authority.signing_key,
        "root-ca-file": site.authority.certificate,
        "leader-elect": False,
        "secure-port": 0,
    }
    return site.component("kube-controller-manager", flags, lambda: True)
