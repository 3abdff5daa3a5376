"""The operator has the rights that it needs and no others. For one namespace it needs no cluster-wide rights."""

import operators
import pytest
from chart import render_chart
from kubelet import Voices

pytestmark = pytest.mark.xdist_group("control_plane")

CLUSTER, ALONE, OTHER = "rights", "rights-alone", "rights-other"
REVIEW = "apis/authorization.k8s.io/v1/subjectaccessreviews"
VERBS = {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
ALLOWED = {
    "kubevoice.io/voicemodels": {"get", "list", "watch"},
    "kubevoice.io/voicemodels/status": {"patch"},
    "kubevoice.io/voicemodels/finalizers": {"update"},
    "kubevoice.io/voicepools": {"list", "watch"},
    "kubevoice.io/voicepools/status": {"patch"},
    "kubevoice.io/voicepools/finalizers": {"update"},
    "batch/jobs": {"list", "watch", "create", "patch", "delete"},
    "ray.io/rayservices": {"list", "watch", "create", "patch", "delete"},
    "ray.io/rayclusters": {"list", "watch", "patch", "delete"},
    "networking.k8s.io/ingresses": {"list", "watch", "create", "patch", "delete"},
    "networking.k8s.io/networkpolicies": {"list", "watch", "create", "patch", "delete"},
    "gateway.networking.k8s.io/httproutes": {"list", "watch", "create", "patch", "delete"},
    "/pods": {"list", "watch"},
    "/events": {"list", "create"},
    "coordination.k8s.io/leases": {"list", "watch"},
}
"""Verbs for each resource in any namespace."""
FORBIDDEN = (
    "/secrets",
    "/configmaps",
    "/serviceaccounts",
    "/serviceaccounts/token",
    "/services",
    "/nodes",
    "/namespaces",
    "/persistentvolumeclaims",
    "/pods/exec",
    "/pods/log",
    "/pods/status",
    "events.k8s.io/events",
    "apps/deployments",
    "batch/jobs/status",
    "batch/cronjobs",
    "ray.io/rayclusters/status",
    "networking.k8s.io/ingresses/status",
    "networking.k8s.io/ingressclasses",
    "gateway.networking.k8s.io/gateways",
    "ray.io/rayjobs",
    "rbac.authorization.k8s.io/roles",
    "rbac.authorization.k8s.io/clusterrolebindings",
    "admissionregistration.k8s.io/validatingwebhookconfigurations",
)


def list_allowed(rest, resource, *, namespace="anywhere", name="", account=("kubevoice-operator", operators.SYSTEM)):
    """Return the verbs that `kubectl auth can-i --as` affirms for a service account."""
    group, _, path = resource.partition("/")
    plural, _, subresource = path.partition("/")
    attributes = {"group": group, "resource": plural, "subresource": subresource, "namespace": namespace, "name": name}
    user = {"user": f"system:serviceaccount:{account[1]}:{account[0]}", "groups": ["system:serviceaccounts"]}

    def is_allowed(verb):
        spec = user | {"resourceAttributes": attributes | {"verb": verb}}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return rest.call("POST", REVIEW, review)["status"]["allowed"]

    return {verb for verb in VERBS if is_allowed(verb)}


@pytest.mark.parametrize("resource", [*ALLOWED, *FORBIDDEN])
def test_rights_in_any_namespace(rest, resource):
    assert list_allowed(rest, resource) == ALLOWED.get(resource, set())


def test_rights_to_leases_in_its_own_namespace(rest):
    own = {"list", "watch", "create"}
    assert list_allowed(rest, "coordination.k8s.io/leases", namespace=operators.SYSTEM) == own
    named = list_allowed(rest, "coordination.k8s.io/leases", namespace=operators.SYSTEM, name="kubevoice-operator")
    assert named == own | {"get", "update"}


def test_it_may_watch_definitions_to_notice_kuberay(rest):
    definitions = "apiextensions.k8s.io/customresourcedefinitions"
    assert list_allowed(rest, definitions, namespace="") == {"list", "watch"}


def test_every_right_is_in_the_table():
    (role,) = (item for item in render_chart() if item["kind"] == "ClusterRole")
    granted = {
        f"{group}/{resource}": set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert granted == ALLOWED | {"apiextensions.k8s.io/customresourcedefinitions": {"list", "watch"}}
    assert not [rule for rule in role["rules"] if "*" in rule["verbs"] + rule["resources"] + rule["apiGroups"]]


@pytest.fixture(scope="module")
def namespaced_account(control_plane, rest):
    """A service account with rights in one namespace only, and the namespace."""
    return operators.install_alone(control_plane, ALONE, "kubevoice-alone")


@pytest.mark.parametrize("resource", [*ALLOWED, *FORBIDDEN])
def test_rights_in_one_namespace(rest, namespaced_account, resource):
    lease = {"create"} if resource == "coordination.k8s.io/leases" else set()
    assert (
        list_allowed(rest, resource, namespace=ALONE, account=namespaced_account)
        == ALLOWED.get(resource, set()) | lease
    )
    assert list_allowed(rest, resource, namespace=OTHER, account=namespaced_account) == set()


def test_in_one_namespace_it_needs_no_cluster_wide_rights(control_plane, rest, namespaced_account, tmp_path):
    other_voices = Voices(rest, control_plane.namespace(OTHER))
    other_voices.make("ignored")
    voices = Voices(rest, ALONE)
    options = ("--namespace", ALONE, "--lease-namespace", ALONE)
    with operators.operator(control_plane, tmp_path, *options, account=namespaced_account) as operator:
        voices.make("mei")
        voices.run("mei", ("prepare",))
        assert voices.job("mei", "train")
        voices.wait("an Event", lambda: "PrepareSucceeded" in voices.events("mei"))
        assert rest.get("leases", ALONE, "kubevoice-operator")["spec"]["holderIdentity"]
        assert operator.get("/healthz") == (200, "ok")
        assert 'code="403"' not in operator.get("/metrics")[1]
    assert not other_voices.status("ignored")
    assert not other_voices.jobs("ignored")
    assert '"level": "error"' not in operator.log.read_text()
    assert list_allowed(rest, "batch/jobs", account=namespaced_account) == set()
    assert list_allowed(rest, "kubevoice.io/voicemodels", namespace="", account=namespaced_account) == set()


def test_with_cluster_wide_rights_no_request_is_refused(control_plane, rest, tmp_path):
    voices = Voices(rest, control_plane.namespace(CLUSTER))
    with operators.operator(control_plane, tmp_path) as operator:
        voices.make("mei", deletionPolicy="Delete")
        voices.run("mei")
        voices.wait_condition("mei", "Available", "False", "KubeRayNotInstalled")
        assert 'code="403"' not in operator.get("/metrics")[1]
        assert "forbidden" not in operator.log.read_text().lower()
