"""What the operator does to RayServices, on a real API server that has KubeRay's CRDs."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import operators
import pytest
import yaml
from kubelet import REVISION, Voices
from kubernetes.client.exceptions import ApiException
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.render.names import Images
from kubevoice_operator.render.rayservice import BundleRef, TrafficSplit, render_rayservice
from rest import APPLY
from testcluster.build import MODULES, OLDER_KUBERAY, Toolbox, kuberay_crds

pytestmark = pytest.mark.xdist_group("control_plane")

CRDS = ("ray.io_rayservices.yaml", "ray.io_rayclusters.yaml")
NEWEST, TOO_OLD = "newest", "v1.4.2"
POLICIES = "apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
REPLICAS_ELSEWHERE = """
import runpy
import kubevoice_operator.cluster.data_plane as plane
plane.service_url = lambda key: "{url}"
runpy.run_module("kubevoice_operator", run_name="__main__")
"""
"""The operator, for which voices answer at an address of the test: a control plane has no pods."""


class Replica(BaseHTTPRequestHandler):
    """A replica that serves a revision."""

    def do_GET(self):
        body = json.dumps({"replicas": [{"replica": "a", "voices": {"mei": REVISION}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def install(cluster, version):
    """Put the CRDs of a version of KubeRay in the place of those that are there.

    The schema gets a field that only tells it from the one before, which the API server goes on using for a moment.
    """
    crds = Toolbox(MODULES["kubernetes"]).data("kuberay-crds") if version == NEWEST else kuberay_crds(version)
    objects = [yaml.safe_load((crds / name).read_text(encoding="utf-8")) for name in CRDS]
    for schema in (v["schema"] for v in objects[0]["spec"]["versions"] if v["name"] == "v1"):
        schema["openAPIV3Schema"]["properties"]["spec"]["properties"]["schemaOf"] = {
            "enum": [version],
            "type": "string",
        }
    cluster.apply(objects)


@pytest.fixture(scope="module")
def voices(control_plane, rest):
    install(control_plane, NEWEST)
    return Voices(rest, control_plane.namespace("rayservices"))


@pytest.fixture(scope="module", autouse=True)
def operator(voices, control_plane, tmp_path_factory):
    with ThreadingHTTPServer(("127.0.0.1", 0), Replica) as replica:
        threading.Thread(target=replica.serve_forever, daemon=True).start()
        program = ("-c", REPLICAS_ELSEWHERE.format(url=f"http://127.0.0.1:{replica.server_port}"))
        with operators.operator(control_plane, tmp_path_factory.mktemp("operator"), program=program) as running:
            yield running
            assert running.metric('kubevoice_operator_reconcile_errors_total{kind="bug"}') == 0
        replica.shutdown()


@pytest.fixture
def only_our_images(rest, voices):
    """An admission policy that admits no other registry's images to Ray's workers."""
    image = "object.spec.rayClusterConfig.workerGroupSpecs[0].template.spec.containers[0].image"
    meta = {"metadata": {"name": "images"}}
    group = {"apiVersion": "admissionregistration.k8s.io/v1"}
    rule = {"apiGroups": ["ray.io"], "apiVersions": ["v1"], "resources": ["rayservices"], "operations": ["UPDATE"]}
    rest.call(
        "POST",
        f"{POLICIES}ies",
        group
        | {"kind": "ValidatingAdmissionPolicy"}
        | meta
        | {
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": f"!{image}.startsWith('elsewhere/')", "message": "not that registry"}],
            }
        },
    )
    binding = {"spec": {"policyName": "images", "validationActions": ["Deny"]}}
    rest.call("POST", f"{POLICIES}ybindings", group | {"kind": "ValidatingAdmissionPolicyBinding"} | meta | binding)
    yield
    rest.call("DELETE", f"{POLICIES}ybindings/images")
    rest.call("DELETE", f"{POLICIES}ies/images")


def image(rest, voices):
    service = rest.get("rayservices", voices.namespace, "mei")
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return group["template"]["spec"]["containers"][0]["image"]


def test_a_change_that_the_api_server_refuses_is_not_called_ready(voices, rest, control_plane, only_our_images):
    voices.make("mei")
    voices.run("mei")
    voices.wait_condition("mei", "Ready", "True", "Serving")
    before = image(rest, voices)
    path = f"{rest.path('rayservices', voices.namespace, 'mei')}?dryRun=All"
    change = {
        "op": "replace",
        "path": "/spec/rayClusterConfig/workerGroupSpecs/0/template/spec/containers/0/image",
        "value": "elsewhere/x",
    }

    def is_refused():
        # A policy counts a moment after it is made.
        try:
            rest.call("PATCH", path, [change], "application/json-patch+json")
        except ApiException as error:
            return "not that registry" in error.body
        return False

    voices.wait("the policy to count", is_refused)
    voices.edit("mei", {"serving": {"image": "elsewhere/serving:1"}})
    message = voices.wait_condition("mei", "Ready", "False", "RefusedByApi")
    assert "not that registry" in message
    assert voices.condition("mei", "Degraded")[:2] == ("True", "RefusedByApi")
    assert voices.condition("mei", "Available")[:2] == ("True", "Serving")
    assert voices.status("mei")["serving"]["revision"] == REVISION
    assert image(rest, voices) == before
    voices.edit("mei", {"serving": {"image": "ours/serving:2"}})
    voices.wait_condition("mei", "Ready", "True", "Serving")
    assert image(rest, voices) == "ours/serving:2"


@pytest.fixture(params=[*OLDER_KUBERAY, NEWEST])
def kuberay(request, control_plane, voices):
    """The CRDs of one version of KubeRay; the newest again after it."""
    install(control_plane, request.param)
    yield request.param
    install(control_plane, NEWEST)


EVERYTHING = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: all, namespace: rayservices}
spec:
  base: {uri: builtin://base}
  dataset: {uri: s3://data/set}
  storage: {artifactsUri: s3://voices, secretRef: {name: s3}, caBundleRef: {configMap: ca}}
  serving:
    image: ours/serving:1
    minReplicas: 1
    maxReplicas: 4
    replica: {cpu: 1, gpu: 1, memory: 2Gi, threads: 2}
    nodeSelector: {pool: gpu}
    tolerations: [{key: gpu, operator: Exists}]
    rollout: {strategy: Canary, steps: [{weight: 10}]}
    cache: {redisUrl: "redis://redis:6379", redisSecretRef: {name: redis}}
    expose: {auth: {secretRef: {name: tokens}}, requestsPerMinute: 60, corsOrigins: ["*"]}
"""


def test_what_is_rendered_is_taken_by_every_kuberay_that_is_supported(voices, rest, kuberay):
    images = Images(pull_secrets=("mirror",))
    bundles = [BundleRef("sha256:" + digit * 64, f"s3://voices/bundles/{digit}") for digit in "12"]
    service = render_rayservice(load_voicemodel(EVERYTHING), TrafficSplit(*bundles, 10), images)
    options = "fieldManager=tests&force=true&fieldValidation=Strict&dryRun=All"
    path = f"{rest.path('rayservices', voices.namespace, 'all')}?{options}"

    marked = service | {"spec": service["spec"] | {"schemaOf": kuberay}}

    def is_served():
        try:
            return rest.call("PATCH", path, marked, APPLY)
        except ApiException as error:
            if "schemaOf" in error.body:
                return False
            raise

    voices.wait(f"the CRD of {kuberay}", is_served)
    assert rest.call("PATCH", path, service, APPLY)
    service["spec"]["rayClusterConfig"]["headGroupSpec"]["nonsense"] = 1
    with pytest.raises(ApiException) as caught:
        rest.call("PATCH", path, service, APPLY)
    assert "nonsense" in caught.value.body


def test_a_kuberay_that_is_too_old_is_reported(voices, control_plane):
    install(control_plane, TOO_OLD)
    try:
        # A voice of its own, for which the API server has the old schema by the time it is released.
        voices.make("late")
        voices.run("late")
        voices.wait_condition("late", "Ready", "False", "RefusedByApi")
        assert "field not declared in schema" in voices.condition("late", "Ready")[2]
    finally:
        install(control_plane, NEWEST)
