"""RayServices of the operator on a real API server with KubeRay's CRDs."""

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
OPERATOR_SCRIPT = """
import runpy
import kubevoice_operator.cluster.data_plane as plane
plane.service_url = lambda key: "{url}"
runpy.run_module("kubevoice_operator", run_name="__main__")
"""
"""The operator, with an address of the test instead of the voices' Services: a control plane has no pods."""


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
    """Replace KubeRay's CRDs by those of a version.

    The schema gets a field with the version, because the API server uses the old schema for a moment.
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
        program = ("-c", OPERATOR_SCRIPT.format(url=f"http://127.0.0.1:{replica.server_port}"))
        folder = tmp_path_factory.mktemp("operator")
        with operators.deployed_operator(control_plane, folder, program=program) as process:
            yield process
            assert process.metric('kubevoice_operator_reconcile_errors_total{kind="bug"}') == 0
        replica.shutdown()


@pytest.fixture
def image_policy(rest, voices):
    """An admission policy that refuses images of another registry for Ray's workers."""
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


def read_image(rest, voices):
    service = rest.get("rayservices", voices.namespace, "mei")
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return group["template"]["spec"]["containers"][0]["image"]


def test_a_voice_whose_change_is_refused_is_not_ready(voices, rest, control_plane, image_policy):
    voices.make("mei")
    voices.run("mei")
    voices.wait_condition("mei", "Ready", "True", "Serving")
    before = read_image(rest, voices)
    path = f"{rest.path('rayservices', voices.namespace, 'mei')}?dryRun=All"
    change = {
        "op": "replace",
        "path": "/spec/rayClusterConfig/workerGroupSpecs/0/template/spec/containers/0/image",
        "value": "elsewhere/x",
    }

    def is_refused():
        # A policy takes effect a moment after its creation.
        try:
            rest.call("PATCH", path, [change], "application/json-patch+json")
        except ApiException as error:
            return "not that registry" in error.body
        return False

    voices.wait("the policy to take effect", is_refused)
    voices.edit("mei", {"serving": {"image": "elsewhere/serving:1"}})
    message = voices.wait_condition("mei", "Ready", "False", "RefusedByApi")
    assert "not that registry" in message
    assert voices.condition("mei", "Degraded")[:2] == ("True", "RefusedByApi")
    assert voices.condition("mei", "Available")[:2] == ("True", "Serving")
    assert voices.status("mei")["serving"]["revision"] == REVISION
    assert read_image(rest, voices) == before
    voices.edit("mei", {"serving": {"image": "ours/serving:2"}})
    voices.wait_condition("mei", "Ready", "True", "Serving")
    assert read_image(rest, voices) == "ours/serving:2"


@pytest.fixture(params=[*OLDER_KUBERAY, NEWEST])
def kuberay(request, control_plane, voices):
    """The CRDs of one version of KubeRay; the newest are installed again after the test."""
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


def test_the_rayservice_is_valid_for_every_supported_kuberay(voices, rest, kuberay):
    images = Images(pull_secrets=("mirror",))
    bundles = [BundleRef("sha256:" + digit * 64, f"s3://voices/bundles/{digit}") for digit in "12"]
    service = render_rayservice(load_voicemodel(EVERYTHING), TrafficSplit(*bundles, 10), images)
    options = "fieldManager=tests&force=true&fieldValidation=Strict&dryRun=All"
    path = f"{rest.path('rayservices', voices.namespace, 'all')}?{options}"

    versioned = service | {"spec": service["spec"] | {"schemaOf": kuberay}}

    def is_served():
        try:
            return rest.call("PATCH", path, versioned, APPLY)
        except ApiException as error:
            if "schemaOf" in error.body:
                return False
            raise

    voices.wait(f"the CRD of {kuberay}", is_served)
    assert rest.call("PATCH", path, service, APPLY)
    service["spec"]["rayClusterConfig"]["headGroupSpec"]["nonsense"] = 1
    with pytest.raises(ApiException) as error:
        rest.call("PATCH", path, service, APPLY)
    assert "nonsense" in error.value.body


def test_a_kuberay_that_is_too_old_is_reported(voices, control_plane):
    install(control_plane, TOO_OLD)
    try:
        # A new voice: the API server uses the old schema when it is released.
        voices.make("late")
        voices.run("late")
        voices.wait_condition("late", "Ready", "False", "RefusedByApi")
        assert "field not declared in schema" in voices.condition("late", "Ready")[2]
    finally:
        install(control_plane, NEWEST)
