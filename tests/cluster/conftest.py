"""Real clusters for tests, one of each kind a session; they start when the first test asks for them."""

import os
from contextlib import ExitStack
from pathlib import Path

import operators
import pytest
import testcluster
from rest import Rest
from scheduling import find_group, require_group

REQUIRED = "KUBEVOICE_TEST_CLUSTER"
"""Set to "required" where a machine that cannot run a cluster is a failure, as in continuous integration."""


GROUPS = {"node": ("node", "second_node"), "control_plane": ("control_plane",)}
"""The groups of modules that may use a fixture. Each process has its own node."""
ORDER = ("node", "control_plane", None, "second_node")

_control_plane = ExitStack()
"""Ends the control plane, if one runs in this process."""


def pytest_itemcollected(item):
    """With two processes, one has a node and the other the control plane, then a second node."""
    if item.path.is_relative_to(Path(__file__).parent):
        item.add_marker(pytest.mark.cluster)
        for cluster, groups in GROUPS.items():
            if cluster in item.fixturenames:
                require_group(item, *groups)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with the node. Kueue delays every Job, so its tests are last."""

    def order(item):
        group = find_group(item.path)
        return ORDER.index(group if group in ORDER else None), "kueue" in item.fixturenames

    items.sort(key=order)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem):
    """End the control plane after its last test, because the process may go on for half an hour."""
    yield
    if nextitem is None or find_group(nextitem.path) != "control_plane":
        _control_plane.close()


def start(make, stack):
    """Start a cluster that ends with `stack`."""
    try:
        return stack.enter_context(make())
    except testcluster.UnavailableError as lack:
        if os.environ.get(REQUIRED) == "required":
            raise
        pytest.skip(str(lack))


def start_for_session(make):
    """Yield a cluster that ends with the session."""
    with ExitStack() as stack:
        yield start(make, stack)


@pytest.fixture(scope="session")
def control_plane():
    """etcd, kube-apiserver and kube-controller-manager."""
    return start(testcluster.control_plane, _control_plane)


@pytest.fixture(scope="session")
def node():
    """A whole node, with pods, Services, DNS, S3 and KubeRay."""
    yield from start_for_session(testcluster.node)


@pytest.fixture(scope="session")
def kueue(node):
    """Kueue on the node, from the first test that asks for it."""
    yield from start_for_session(lambda: testcluster.kueue(node))


@pytest.fixture(scope="module")
def rest(control_plane):
    """The API server of a control plane that has the operator's CRD and rights, by a connection that is kept."""
    operators.install(control_plane)
    rest = Rest(control_plane.kubeconfig)
    yield rest
    rest.close()
