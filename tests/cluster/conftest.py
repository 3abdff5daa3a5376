"""Real clusters for tests, one of each kind a session; they start when the first test asks for them."""

import os
from pathlib import Path

import operators
import pytest
import testcluster
from rest import Rest
from scheduling import require_group

REQUIRED = "KUBEVOICE_TEST_CLUSTER"
"""Set to "required" where a machine that cannot run a cluster is a failure, as in continuous integration."""


def pytest_itemcollected(item):
    """With two processes, one has the node and the other the control plane."""
    if item.path.is_relative_to(Path(__file__).parent):
        item.add_marker(pytest.mark.cluster)
        for cluster in ("node", "control_plane"):
            if cluster in item.fixturenames:
                require_group(item, cluster)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with the node. Kueue delays every Job, so its tests are last."""
    items.sort(key=lambda item: ("node" not in item.fixturenames, "kueue" in item.fixturenames))


def started(make):
    """The cluster that `make` starts, until the session ends."""
    try:
        with make() as cluster:
            yield cluster
    except testcluster.UnavailableError as lack:
        if os.environ.get(REQUIRED) == "required":
            raise
        pytest.skip(str(lack))


@pytest.fixture(scope="session")
def control_plane():
    """etcd, kube-apiserver and kube-controller-manager."""
    yield from started(testcluster.control_plane)


@pytest.fixture(scope="session")
def node():
    """A whole node, with pods, Services, DNS, S3 and KubeRay."""
    yield from started(testcluster.node)


@pytest.fixture(scope="session")
def kueue(node):
    """Kueue on the node, from the first test that asks for it."""
    yield from started(lambda: testcluster.kueue(node))


@pytest.fixture(scope="module")
def rest(control_plane):
    """The API server of a control plane that has the operator's CRD and rights, by a connection that is kept."""
    operators.install(control_plane)
    rest = Rest(control_plane.kubeconfig)
    yield rest
    rest.close()
