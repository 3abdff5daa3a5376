"""The control plane is a real one."""

import pytest

pytestmark = pytest.mark.xdist_group("control_plane")

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap"}


@pytest.fixture(scope="module")
def namespace(control_plane):
    return control_plane.namespace("fixture")


def config_map(name, namespace, **metadata):
    return CONFIG | {"metadata": {"name": name, "namespace": namespace} | metadata}


def test_what_an_owner_leaves_is_collected(control_plane, namespace):
    owner, owned = config_map("owner", namespace), config_map("owned", namespace)
    control_plane.apply([owner])
    uid = control_plane.get("configmap", "owner", "-n", namespace)["metadata"]["uid"]
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    control_plane.apply([owned])
    control_plane.delete([owner])
    control_plane.wait("collection", lambda: not control_plane.get("configmap", "owned", "-n", namespace), 30)


def test_a_service_account_has_its_own_rights_alone(control_plane, namespace):
    config = control_plane.kubeconfig_for("default", namespace)
    path = "jsonpath={.status.userInfo.username}"
    who = control_plane.kubectl("auth", "whoami", "-o", path, f"--kubeconfig={config}")
    assert who == f"system:serviceaccount:{namespace}:default"
    with pytest.raises(RuntimeError, match="forbidden"):
        control_plane.kubectl("get", "pods", "-n", namespace, f"--kubeconfig={config}")


def test_the_api_server_can_be_lost_and_comes_back_with_its_data(control_plane, namespace):
    if not control_plane.components:
        pytest.skip("this cluster is not ours to break")
    control_plane.apply([config_map("kept", namespace)])
    control_plane.stop("kube-apiserver")
    with pytest.raises(RuntimeError, match="refused"):
        control_plane.get("configmap", "kept", "-n", namespace)
    control_plane.start("kube-apiserver")
    assert control_plane.get("configmap", "kept", "-n", namespace)
    assert control_plane.logs("kube-apiserver")
