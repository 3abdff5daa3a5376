"""The control plane: garbage collection, rights, and restarts."""

import pytest

pytestmark = pytest.mark.xdist_group("control_plane")

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap"}


@pytest.fixture(scope="module")
def namespace(control_plane):
    return control_plane.namespace("fixture")


def config_map(name, namespace, **metadata):
    return CONFIG | {"metadata": {"name": name, "namespace": namespace} | metadata}


def test_objects_of_a_deleted_owner_are_deleted(control_plane, namespace):
    owner, owned = config_map("owner", namespace), config_map("owned", namespace)
    control_plane.apply([owner])
    uid = control_plane.get("configmap", "owner", "-n", namespace)["metadata"]["uid"]
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    control_plane.apply([owned])
    control_plane.delete([owner])
    control_plane.wait("collection", lambda: not control_plane.get("configmap", "owned", "-n", namespace), 30)


def test_a_service_account_has_only_its_own_rights(control_plane, namespace):
    config = control_plane.kubeconfig_for("default", namespace)
    path = "jsonpath={.status.userInfo.username}"
    who = control_plane.kubectl("auth", "whoami", "-o", path, f"--kubeconfig={config}")
    assert who == f"system:serviceaccount:{namespace}:default"
    with pytest.raises(RuntimeError, match="forbidden"):
        control_plane.kubectl("get", "pods", "-n", namespace, f"--kubeconfig={config}")


def test_the_api_server_has_its_data_after_a_restart(control_plane, namespace):
    if not control_plane.components:
        pytest.skip("the tests must not stop parts of an existing cluster")
    control_plane.apply([config_map("persistent", namespace)])
    control_plane.stop("kube-apiserver")
    with pytest.raises(RuntimeError, match="refused"):
        control_plane.get("configmap", "persistent", "-n", namespace)
    control_plane.start("kube-apiserver")
    assert control_plane.get("configmap", "persistent", "-n", namespace)
    assert control_plane.logs("kube-apiserver")
