"""A real API server accepts what the chart renders, and Helm installs, upgrades and removes it there."""

import functools
import json

import operators
import pytest
import yaml
from chart import CHART, ROOT, render_chart

pytestmark = pytest.mark.xdist_group("control_plane")

CRDS = ROOT.parent / "shared" / "crds"
FOREIGN = ("monitoring.coreos.com_podmonitors", "monitoring.coreos.com_prometheusrules")
FOREIGN += ("gateway.networking.k8s.io_httproutes",)
EVERYTHING = yaml.safe_load((ROOT / "tests" / "chart" / "everything.yaml").read_text(encoding="utf-8"))
NAMESPACE, RELEASE = "chart-release", "speech"
VOICE = {
    "apiVersion": "kubevoice.io/v1alpha1",
    "kind": "VoiceModel",
    "metadata": {"name": "kept", "namespace": NAMESPACE},
    "spec": {
        "base": {"uri": "builtin://base"},
        "dataset": {"uri": "s3://data/set"},
        "storage": {"artifactsUri": "s3://voices"},
    },
}


@pytest.fixture(scope="module")
def cluster(control_plane):
    for name in ("kubevoice-system", "voices", "trials", NAMESPACE):
        control_plane.namespace(name)
    return control_plane


@pytest.fixture
def helm(cluster):
    return functools.partial(operators.run_helm, cluster, namespace=NAMESPACE)


def test_the_api_server_accepts_every_object(cluster):
    objects = render_chart(EVERYTHING)
    if all((CRDS / f"{name}.yaml").exists() for name in FOREIGN):
        cluster.apply_files(*(CRDS / f"{name}.yaml" for name in FOREIGN))
        cluster.wait_for_kinds("monitoring.coreos.com/v1", "podmonitors", "prometheusrules")
        cluster.wait_for_kinds("gateway.networking.k8s.io/v1", "httproutes")
    else:
        objects = [item for item in objects if item["kind"] not in ("PodMonitor", "PrometheusRule", "HTTPRoute")]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    options = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    answer = cluster.kubectl("apply", *options, "-f", "-", input=listed)
    assert answer.count("serverside-applied (server dry run)") == len(objects)


@pytest.mark.parametrize("values", [{"redis": {"enabled": True}}, EVERYTHING], ids=["plain", "everything"])
def test_its_pods_meet_the_restricted_standard(cluster, values):
    deployments = [item for item in render_chart(values) if item["kind"] == "Deployment"]
    assert len(deployments) == 2
    for item in deployments:
        spec = item["spec"]["template"]["spec"] | {"serviceAccountName": "default"}
        spec.pop("priorityClassName", None)  # only kube-system may use it
        metadata = {"name": item["metadata"]["name"], "namespace": NAMESPACE}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        assert "created" in cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))


def test_it_is_installed_upgraded_and_removed_and_voicemodels_stay(cluster, helm):
    # Other tests have applied the CRD already, as users may have.
    helm("install", RELEASE, CHART, "--take-ownership")
    release = cluster.get("deployment", "speech-kubevoice-operator", "-n", NAMESPACE)
    assert release["spec"]["replicas"] == 2
    crd = cluster.get("crd", "voicemodels.kubevoice.io")
    assert crd["metadata"]["annotations"]["meta.helm.sh/release-name"] == RELEASE
    cluster.apply([VOICE])
    before = cluster.get("vm", "kept", "-n", NAMESPACE)["metadata"]["uid"]
    helm("upgrade", RELEASE, CHART, "--values", "-", values={"operator": {"replicas": 3}})
    assert cluster.get("deployment", "speech-kubevoice-operator", "-n", NAMESPACE)["spec"]["replicas"] == 3
    notes = helm("get", "notes", RELEASE)
    assert "kubectl rollout status deployment/speech-kubevoice-operator" in notes
    helm("uninstall", RELEASE, "--wait")
    assert cluster.get("deployment", "speech-kubevoice-operator", "-n", NAMESPACE) is None
    assert cluster.get("clusterrole", "speech-kubevoice-operator") is None
    assert cluster.get("vm", "kept", "-n", NAMESPACE)["metadata"]["uid"] == before
    # Another installation uses the VoiceModel that stayed.
    helm("install", RELEASE, CHART)
    helm("uninstall", RELEASE, "--wait")
    assert cluster.get("vm", "kept", "-n", NAMESPACE)["metadata"]["uid"] == before
    cluster.delete([VOICE])


def test_a_cluster_without_kuberay_is_refused_if_kuberay_is_required(cluster, helm):
    if cluster.get("crd", "rayservices.ray.io"):
        pytest.skip("this cluster has KubeRay")
    with pytest.raises(AssertionError, match=r"kuberay\.required: the cluster has no RayService"):
        helm("install", RELEASE, CHART, "--set", "kuberay.required=true")
