"""A voice is trained on a cluster without KubeRay, and served as soon as KubeRay is installed.

KubeRay stays installed, so tests that need it on the control plane come after these: test_rayservices.py.
"""

import operators
import pytest
import testcluster.build
from kubelet import Voices
from rest import Rest

pytestmark = pytest.mark.xdist_group("control_plane")

CRDS = ("ray.io_rayservices.yaml", "ray.io_rayclusters.yaml")


@pytest.fixture
def rest(control_plane):
    if control_plane.get("crd", "rayservices.ray.io"):
        pytest.skip("this cluster has KubeRay")
    operators.install(control_plane)
    rest = Rest(control_plane.kubeconfig)
    yield rest
    rest.close()


def test_kuberay_may_come_later(rest, control_plane, tmp_path):
    voices = Voices(rest, control_plane.namespace("without-kuberay"))
    # Limited to namespaces, an operator gets no events of CustomResourceDefinitions.
    namespaces = ("--namespace", voices.namespace, "--namespace", operators.SYSTEM)
    with operators.operator(control_plane, tmp_path, *namespaces) as operator:
        voices.make("early")
        voices.run("early")
        assert "install KubeRay" in voices.wait_condition("early", "Available", "False", "KubeRayNotInstalled")
        assert voices.condition("early", "Degraded")[:2] == ("True", "KubeRayNotInstalled")
        crds = testcluster.build.Toolbox(testcluster.build.MODULES["kubernetes"]).data("kuberay-crds")
        control_plane.apply_files(*(crds / name for name in CRDS))
        service = lambda: rest.get("rayservices", voices.namespace, "early")  # noqa: E731
        voices.wait("a RayService", service, 60)
        assert service()["metadata"]["ownerReferences"][0]["kind"] == "VoiceModel"
        voices.wait_condition("early", "Available", "False", "RollingOut")
        voices.wait_condition("early", "Degraded", "False", "Healthy")
        # Watched like everything else from now on, by the same process.
        rest.delete("rayservices", voices.namespace, "early")
        voices.wait("another RayService", service)
        assert operator.metric('kubevoice_operator_reconcile_errors_total{kind="bug"}') == 0
        voices.edit("early", {"serving": {"suspend": True}})
        voices.wait("no RayService", lambda: service() is None)
        voices.wait_condition("early", "Available", "False", "Suspended")
