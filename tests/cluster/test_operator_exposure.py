"""The operator on a real API server creates, changes and removes the exposure of a VoiceModel."""

import operators
import pytest
from chart import ROOT
from kubelet import Voices

pytestmark = pytest.mark.xdist_group("control_plane")

ROUTES = ROOT.parent / "shared" / "crds" / "gateway.networking.k8s.io_httproutes.yaml"
INGRESS = {"host": "mei.example.com", "annotations": {"proxy/buffering": "off"}}
ROUTE = {"parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": ["mei.example.com"]}


@pytest.fixture(scope="module")
def voices(control_plane, rest):
    control_plane.kubectl("delete", "crd", "httproutes.gateway.networking.k8s.io", "--ignore-not-found")
    return Voices(rest, control_plane.namespace("exposure"))


@pytest.fixture(scope="module", autouse=True)
def operator(voices, control_plane, tmp_path_factory):
    with operators.deployed_operator(control_plane, tmp_path_factory.mktemp("operator")) as process:
        yield process
        assert process.metric('kubevoice_operator_reconcile_errors_total{kind="bug"}') == 0
        assert 'code="403"' not in process.get("/metrics")[1]


def expose(**fields):
    return {"serving": {"expose": fields}}


def test_an_ingress_is_created_changed_and_deleted(voices, rest):
    ingress = lambda: rest.get("ingresses", voices.namespace, "mei")  # noqa: E731
    voices.make("mei", **expose(ingress=INGRESS))
    voices.wait_condition("mei", "Exposed", "True", "Exposed")
    created = ingress()
    assert created["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] == "mei-serve-svc"
    assert created["metadata"]["ownerReferences"][0]["uid"] == voices.get("mei")["metadata"]["uid"]
    assert created["metadata"]["annotations"].keys() == {"proxy/buffering", "kubevoice.io/rendered"}
    voices.edit("mei", expose(ingress={"host": "lan.example.com", "annotations": None}))
    voices.wait("another host", lambda: ingress()["spec"]["rules"][0]["host"] == "lan.example.com")
    assert ingress()["metadata"]["annotations"].keys() == {"kubevoice.io/rendered"}
    assert ingress()["metadata"]["uid"] == created["metadata"]["uid"]
    rest.delete("ingresses", voices.namespace, "mei")
    voices.wait("another Ingress", ingress)
    voices.edit("mei", {"serving": {"suspend": True}})
    voices.wait("no Ingress", lambda: ingress() is None)
    voices.edit("mei", {"serving": {"suspend": False}})
    voices.wait("an Ingress again", ingress)
    voices.edit("mei", expose(ingress=None))
    voices.wait("no Ingress", lambda: ingress() is None)
    voices.wait("no condition", lambda: voices.condition("mei", "Exposed")[0] is None)


def test_a_network_policy_is_created_and_deleted(voices, rest):
    policy = lambda: rest.get("networkpolicies", voices.namespace, "guarded")  # noqa: E731
    voices.make("guarded", **expose(networkPolicy=True))
    voices.wait_condition("guarded", "Exposed", "True", "Exposed")
    assert policy()["spec"]["podSelector"]["matchLabels"]["kubevoice.io/voicemodel"] == "guarded"
    voices.edit("guarded", expose(networkPolicy=False))
    voices.wait("no NetworkPolicy", lambda: policy() is None)


def test_an_ingress_of_another_owner_is_not_changed_and_reported(voices, rest):
    foreign = {"metadata": {"name": "taken"}, "spec": {"rules": [{"host": "theirs.example.com"}]}}
    rest.create("ingresses", voices.namespace, foreign | {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"})
    voices.make("taken", **expose(ingress=INGRESS, networkPolicy=True))
    assert "conflict" in voices.wait_condition("taken", "Exposed", "False", "RefusedByApi")
    assert voices.job("taken", "prepare")
    assert rest.get("networkpolicies", voices.namespace, "taken")
    voices.edit("taken", expose(ingress=None))
    voices.wait_condition("taken", "Exposed", "True", "Exposed")
    assert rest.get("ingresses", voices.namespace, "taken")["spec"] == foreign["spec"]


def test_the_gateway_api_may_be_installed_later(voices, rest, control_plane):
    route = lambda: rest.get("httproutes", voices.namespace, "routed")  # noqa: E731
    voices.make("routed", **expose(httpRoute=ROUTE, networkPolicy=True))
    message = voices.wait_condition("routed", "Exposed", "False", "GatewayApiNotInstalled")
    assert "install the Gateway API" in message
    assert rest.get("networkpolicies", voices.namespace, "routed")
    voices.run("routed", ("prepare",))
    assert voices.job("routed", "train")
    if not ROUTES.exists():
        pytest.skip(f"there is no {ROUTES.name} to install")
    control_plane.apply_files(ROUTES)
    voices.wait("an HTTPRoute", route, 60)
    voices.wait_condition("routed", "Exposed", "True", "Exposed", 60)
    assert route()["spec"]["parentRefs"][0]["name"] == "public"
    assert route()["spec"]["rules"][0]["backendRefs"][0]["name"] == "routed-serve-svc"
    # From now on HTTPRoutes are watched. A new watch reports earlier changes, but not earlier deletions.
    rendered = lambda: route()["metadata"]["annotations"]["kubevoice.io/rendered"]  # noqa: E731
    expected = rendered()
    rest.patch("httproutes", voices.namespace, "routed", {"metadata": {"annotations": {"kubevoice.io/rendered": "no"}}})
    voices.wait("the watch", lambda: rendered() == expected)
    rest.delete("httproutes", voices.namespace, "routed")
    voices.wait("another HTTPRoute", route)
    voices.edit("routed", expose(httpRoute=None, ingress=INGRESS))
    voices.wait("no HTTPRoute", lambda: route() is None)
    voices.wait_condition("routed", "Exposed", "True", "Exposed")
