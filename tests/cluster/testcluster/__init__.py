"""A real Kubernetes for tests, on this machine, with programs from package registries only.

`control_plane()` runs etcd, kube-apiserver and kube-controller-manager on loopback. `node()` runs a node with pods,
Services, DNS, S3 and KubeRay, in Linux namespaces without an outside network.
"""

from testcluster.addons import older_kuberay
from testcluster.cluster import S3, Cluster
from testcluster.kueue import kueue
from testcluster.start import control_plane, node
from testcluster.tools import UnavailableError

__all__ = ["S3", "Cluster", "UnavailableError", "control_plane", "kueue", "node", "older_kuberay"]
