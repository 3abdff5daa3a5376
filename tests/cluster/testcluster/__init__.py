"""A real Kubernetes for tests, on this machine and from package registries alone.

`control_plane()` is etcd, kube-apiserver and kube-controller-manager on loopback; `node()` is a whole node with pods,
Services, DNS, S3 and KubeRay, in namespaces of its own that nothing leaves.
"""

from testcluster.addons import older
from testcluster.cluster import S3, Cluster
from testcluster.kueue import kueue
from testcluster.start import control_plane, node
from testcluster.tools import UnavailableError

__all__ = ["S3", "Cluster", "UnavailableError", "control_plane", "kueue", "node", "older"]
