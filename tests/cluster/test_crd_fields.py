"""Fields of a VoiceModel: what they refuse and accept at apply, how kubectl explains them and scales."""

import pytest
from kubelet import voice
from rest import APPLY
from test_crd_rules import FULL, NAMESPACE, SCHEMA, create, create_invalid, merge, namespace

pytestmark = pytest.mark.xdist_group("control_plane")

__all__ = ["namespace"]  # a fixture

REFUSED = [
    ("serving.replica.memory", {"serving": {"replica": {"memory": "0"}}}),
    ("serving.replica.memory", {"serving": {"replica": {"memory": "2K"}}}),
    ("serving.replica.memory", {"serving": {"replica": {"memory": "-1Gi"}}}),
    ("serving.image", {"serving": {"image": ""}}),
    ("serving.image", {"serving": {"image": "voice 1"}}),
    ("training.image", {"training": {"image": " "}}),
    ("storage.endpoint", {"storage": {"endpoint": "http://me:secret@minio:9000"}}),
    ("storage.endpoint", {"storage": {"endpoint": "http://"}}),
    ("storage.endpoint", {"storage": {"endpoint": "http://minio:9000?x=1"}}),
    ("storage.region", {"storage": {"region": "eu west"}}),
    ("storage.artifactsUri", {"storage": {"artifactsUri": "s3://"}}),
    ("dataset.uri", {"dataset": {"uri": "s3://"}}),
    ("dataset.uri", {"dataset": {"uri": "s3:///set"}}),
    ("dataset.uri", {"dataset": {"uri": "file://"}}),
    ("base.uri", {"base": {"uri": "builtin://"}}),
    ("storage.secretRef.name", {"storage": {"secretRef": {"name": "Not OK"}}}),
    ("storage.caBundleRef.configMap", {"storage": {"caBundleRef": {"configMap": "-ca"}}}),
    ("storage.caBundleRef.key", {"storage": {"caBundleRef": {"key": "../ca"}}}),
    ("training.queueName", {"training": {"queueName": "Q Q"}}),
    ("training.priorityClassName", {"training": {"priorityClassName": "High!"}}),
    ("training.resources.limits.memory", {"training": {"resources": {"limits": {"memory": "lots"}}}}),
    ("training.resources.requests.cpu", {"training": {"resources": {"requests": {"cpu": "0"}}}}),
    ("serving.rollout", {"serving": {"rollout": {"steps": [{"weight": 50}, {"weight": 10}]}}}),
    ("serving.nodeSelector", {"serving": {"nodeSelector": {"pool": "a b"}}}),
]
ACCEPTED = [
    {"serving": {"replica": {"memory": "1.5Gi"}}},
    {"serving": {"image": "registry.example:5000/team/voice@sha256:" + "0" * 64}},
    {"storage": {"endpoint": "https://[::1]:9000"}},
    {"storage": {"endpoint": "http://minio.storage.svc:9000/gateway"}},
    {"dataset": {"uri": "s3://data"}},
    {"dataset": {"uri": "file:///data/set"}},
    {
        "training": {
            "resources": {"limits": {"memory": "4Gi", "cpu": 2, "nvidia.com/gpu": 1}, "requests": {"cpu": "500m"}}
        }
    },
    {"serving": {"rollout": {"steps": [{"weight": 10}, {"weight": 50}]}}},
    {"serving": {"nodeSelector": {"node.kubernetes.io/instance-type": "g5.xlarge", "empty": ""}}},
]


@pytest.mark.parametrize(("field", "spec"), REFUSED, ids=[f"{row[0]}-{i}" for i, row in enumerate(REFUSED)])
def test_nonsense_is_refused_at_apply_and_the_message_names_the_field(rest, field, spec):
    status, message = create_invalid(rest, voice("mei", NAMESPACE, **merge(FULL, spec)))
    assert status == 422
    assert field in message or field.rpartition(".")[2] in message


@pytest.mark.parametrize("name", ["mei.v1", "1mei", "mei-", "Mei"])
def test_a_name_that_no_service_can_have_is_refused(rest, name):
    assert "name" in create_invalid(rest, voice(name, NAMESPACE, **FULL))[1]


@pytest.mark.parametrize("spec", ACCEPTED, ids=range(len(ACCEPTED)))
def test_what_makes_sense_is_accepted(rest, spec):
    assert create(rest, voice("mei", NAMESPACE, **merge(FULL, spec)))


def test_a_second_manager_may_apply_the_same_canary_steps(rest):
    spec = {"serving": {"rollout": {"strategy": "Canary", "steps": [{"weight": 10}, {"weight": 50}]}}}
    body = voice("steps", NAMESPACE, **spec)
    path = rest.path("voicemodels", NAMESPACE, "steps")

    def apply(manager):
        return rest.call("PATCH", f"{path}?fieldManager={manager}", body, APPLY)["metadata"]["resourceVersion"]

    versions = {apply("first"), apply("first")}
    assert len(versions) == 1, "nothing changed"
    apply("second")
    rest.delete("voicemodels", NAMESPACE, "steps")


def test_kubectl_explains_a_field(control_plane):
    def explain():
        try:
            return control_plane.kubectl("explain", "vm.spec.training")
        except RuntimeError:
            return ""

    # The API server publishes a CRD's schema a moment after it serves its objects.
    control_plane.wait("the schema to be published", explain, 30)
    text = explain()
    assert "maxSteps" in text
    assert SCHEMA["properties"]["spec"]["properties"]["training"]["description"].split(".")[0][:40] in text


def test_kubectl_scale_sets_the_minimum_of_replicas(rest, control_plane):
    create(rest, voice("scaled", NAMESPACE), dry=False)
    control_plane.kubectl("scale", "vm/scaled", "--replicas=3", "-n", NAMESPACE)
    assert rest.get("voicemodels", NAMESPACE, "scaled")["spec"]["serving"]["minReplicas"] == 3
    with pytest.raises(RuntimeError, match="minReplicas must not exceed maxReplicas"):
        control_plane.kubectl("scale", "vm/scaled", "--replicas=9", "-n", NAMESPACE)
