"""The API server refuses an invalid VoiceModel when it is applied, with a message."""

import json
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from kubelet import voice
from kubernetes.client.exceptions import ApiException
from kubevoice.resources.crd import NAME_RULE, VOICE_MODELS, build_crd
from kubevoice.resources.dataset_rules import DATASET_RULES
from kubevoice.resources.serving import POOL_RULES
from rest import APPLY

pytestmark = pytest.mark.xdist_group("control_plane")

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = build_crd(VOICE_MODELS)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
NAMESPACE = "rules"
DIGEST = "sha256:" + "0" * 64
FULL = {
    "base": {"uri": "builtin://base", "sha256": "0" * 64},
    "dataset": {"uri": "s3://data/set", "digest": DIGEST, "emotions": {"开心": "happy", "甲": "撒娇"}},
    "storage": {
        "endpoint": "http://minio:9000",
        "region": "eu",
        "secretRef": {"name": "s3"},
        "caBundleRef": {"configMap": "ca"},
        "artifactsUri": "s3://voices",
    },
    "training": {
        "image": "i",
        "queueName": "q",
        "priorityClassName": "p",
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
        "vocoder": {"mode": "FineTune"},
    },
    "evaluation": {
        "maxPinyinErrorRate": 0.1,
        "minSpeakerSimilarity": 0.1,
        "minNaturalness": 1.5,
        "maxNaturalnessLoss": 0.5,
        "maxMelCepstralDistortion": 9,
        "maxRealTimeFactor": 1,
        "maxF0Rmse": 9,
        "sentences": ["你好"],
    },
    "serving": {
        "image": "i",
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
        "replica": {"memory": "2Gi"},
        "rollout": {
            "strategy": "Canary",
            "steps": [{"weight": 10}],
            "maxErrorRate": 0.1,
            "maxLatencySeconds": 9,
        },
        "tracing": {"endpoint": "http://collector:4318", "sampleRatio": 0.1},
        "expose": {
            "auth": {"secretRef": {"name": "tokens"}},
            "requestsPerMinute": 60,
            "corsOrigins": ["https://a.example"],
            "httpRoute": {"parentRefs": [{"name": "public"}]},
            "networkPolicy": True,
        },
    },
    "revision": DIGEST,
}
"""A valid spec with nearly every field. Each test makes one field invalid."""

OF_THE_POOL, NO_CANARY = (message for _, message in POOL_RULES)
NOT_TRAINED, NOT_COMPARED, NOT_RECOGNIZED = (message for _, message in DATASET_RULES)
RULES = [
    ("name", {"name": "x" * 41}, {}, "the name may have 40 characters at most"),
    (
        "base",
        {},
        {"base": {"uri": "http://base"}},
        "base.uri must be builtin://NAME, s3://BUCKET/FOLDER or file:///FOLDER",
    ),
    ("dataset", {}, {"dataset": {"uri": "data/set"}}, "dataset.uri must be s3://BUCKET/FOLDER or file:///FOLDER"),
    (
        "artifacts",
        {},
        {"storage": {"artifactsUri": "voices"}},
        "artifactsUri must be s3://BUCKET/FOLDER or file:///FOLDER",
    ),
    ("training without a dataset", {}, {"dataset": None}, NOT_TRAINED),
    ("comparison without recordings", {}, {"dataset": None}, NOT_COMPARED),
    ("nothing to recognize", {}, {"dataset": None, "evaluation": {"sentences": []}}, NOT_RECOGNIZED),
    ("name of no Service", {"name": "mei.v1"}, {}, NAME_RULE),
    ("warmup", {}, {"training": {"warmupSteps": 9, "maxSteps": 8}}, "warmupSteps must not exceed maxSteps"),
    (
        "early stop",
        {},
        {"training": {"earlyStopPatience": 3, "devFraction": 0}},
        "earlyStopPatience needs clips to measure on: a devFraction above 0",
    ),
    ("nodes", {}, {"training": {"nodes": 2, "gpusPerNode": 0}}, "several nodes need at least one GPU each"),
    ("settings of the pool", {}, {"serving": {"poolRef": {"name": "shared"}}}, OF_THE_POOL),
    ("canary in a pool", {}, {"serving": {"poolRef": {"name": "shared"}}}, NO_CANARY),
    ("replicas", {}, {"serving": {"minReplicas": 9}}, "minReplicas must not exceed maxReplicas"),
    (
        "canary without steps",
        {},
        {"serving": {"rollout": {"strategy": "Canary", "steps": []}}},
        "steps belong to strategy Canary, and Canary needs at least one",
    ),
    (
        "steps without canary",
        {},
        {"serving": {"rollout": {"strategy": "Immediate"}}},
        "steps belong to strategy Canary, and Canary needs at least one",
    ),
    (
        "falling steps",
        {},
        {"serving": {"rollout": {"steps": [{"weight": 50}, {"weight": 10}]}}},
        "steps: each weight must be above the one before",
    ),
    (
        "two ways in",
        {},
        {"serving": {"expose": {"ingress": {"host": "a.example"}}}},
        "name an ingress or an httpRoute, not both",
    ),
    (
        "every site and some",
        {},
        {"serving": {"expose": {"corsOrigins": ["*", "https://a.example"]}}},
        "corsOrigins names sites, or * alone",
    ),
]
IMMUTABLE = "artifactsUri cannot be changed; make another VoiceModel"


def merge(base, changes):
    """Return `base` with the values of `changes` merged into it."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merge(result[key], value) if both else value
    return result


def find_value_beyond(node):
    """Return values that a schema node does not allow, by keyword."""
    step = 1 if node.get("type") == "integer" else 0.5
    return {
        "enum": lambda _: "Nonsense",
        "pattern": lambda _: "!",
        "minimum": lambda bound: bound if node.get("exclusiveMinimum") else bound - step,
        "maximum": lambda bound: bound if node.get("exclusiveMaximum") else bound + step,
        "minLength": lambda bound: "x" * (bound - 1),
        "maxLength": lambda bound: "x" * (bound + 1),
        "minItems": lambda bound: [make_item(node["items"])] * (bound - 1),
        "maxItems": lambda bound: [make_item(node["items"], i) for i in range(bound + 1)],
        "maxProperties": lambda bound: {f"k{i}": "x" for i in range(bound + 1)},
    }


def make_item(node, number=1):
    if node["type"] == "object":
        if "weight" in node.get("properties", {}):
            return {"weight": number}
        return {"name" if "name" in node.get("properties", {}) else "key": f"k{number}"}
    return f"item-{number}"


def iter_bounds(node, path=()):
    """Yield a test parameter for every keyword below a schema node: the path, and a value that it forbids."""
    for keyword, value in find_value_beyond(node).items():
        if keyword in node:
            yield pytest.param(path, value(node[keyword]), id=f"{'.'.join(map(str, path))}-{keyword}")
    for name, child in node.get("properties", {}).items():
        yield from iter_bounds(child, (*path, name))
    if "items" in node:
        yield from iter_bounds(node["items"], (*path, 0))
    if "additionalProperties" in node:
        yield from iter_bounds(node["additionalProperties"], (*path, "key"))


def replace_value(path, value):
    """Return the full spec with one value replaced."""
    container = spec = deepcopy(FULL)
    for step, following in pairwise(path):
        container = (
            container[step] if isinstance(container, list) else container.setdefault(step, [] if following == 0 else {})
        )
    if isinstance(container, list):
        container[:] = [value]
    else:
        container[path[-1]] = value
    return spec


@pytest.fixture(scope="module", autouse=True)
def namespace(control_plane):
    control_plane.namespace(NAMESPACE)


def create(rest, body, *, dry=True):
    options = "?fieldValidation=Strict" + ("&dryRun=All" if dry else "")
    return rest.call("POST", rest.path("voicemodels", NAMESPACE) + options, body)


def create_invalid(rest, body):
    """Return the status code and the message with which the API server refuses a VoiceModel."""
    with pytest.raises(ApiException) as error:
        create(rest, body)
    return error.value.status, json.loads(error.value.body)["message"]


def test_the_full_spec_is_valid(rest):
    assert create(rest, voice("mei", NAMESPACE, **FULL))


@pytest.mark.parametrize(("metadata", "spec", "message"), [row[1:] for row in RULES], ids=[row[0] for row in RULES])
def test_rules(rest, metadata, spec, message):
    body = voice("mei", NAMESPACE, **merge(FULL, spec))
    body["metadata"] |= metadata
    status, message_text = create_invalid(rest, body)
    assert status == 422
    assert message in message_text


def test_every_rule_is_tested():
    def messages(node):
        yield from (rule["message"] for rule in node.get("x-kubernetes-validations", ()))
        for child in [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]:
            yield from messages(child)

    assert {*messages(SCHEMA)} == {row[3] for row in RULES} | {IMMUTABLE}


@pytest.mark.parametrize(("path", "value"), list(iter_bounds(SCHEMA["properties"]["spec"])))
def test_bounds(rest, path, value):
    spec = replace_value(path, value)
    status, message_text = create_invalid(rest, voice("mei", NAMESPACE, **spec))
    assert status == 422
    field = "".join(f"[{step}]" if step == 0 else f".{step}" for step in path).removesuffix(".key")
    assert f"spec{field}" in message_text.replace("[key]", ".key")


def test_the_uri_of_artifacts_cannot_be_changed(rest):
    create(rest, voice("fixed", NAMESPACE), dry=False)
    with pytest.raises(ApiException, match="422") as error:
        rest.patch("voicemodels", NAMESPACE, "fixed", {"spec": {"storage": {"artifactsUri": "s3://elsewhere"}}})
    assert IMMUTABLE in error.value.body
    assert rest.patch("voicemodels", NAMESPACE, "fixed", {"spec": {"training": {"maxSteps": 9}}})


def test_a_voice_without_a_dataset_needs_a_base_and_a_place_for_artifacts(rest):
    body = voice("mei", NAMESPACE)
    body["spec"] = {"base": {"uri": "s3://voices/mei"}, "storage": {"artifactsUri": "s3://voices"}}
    assert "dataset" not in create(rest, body)["spec"]
    body["spec"]["training"] = {"queueName": "q", "image": "i", "backoffLimit": 1, "suspend": True}
    body["spec"]["evaluation"] = {"maxRealTimeFactor": 1, "maxPinyinErrorRate": 0.1, "sentences": ["你好"]}
    assert create(rest, body)


def test_defaults_are_filled_in(rest):
    spec = create(rest, voice("mei", NAMESPACE))["spec"]
    assert spec["training"]["trainable"] == ["emotion_embedding", "decoder.last"]
    assert spec["serving"]["rollout"] == {"strategy": "Immediate", "steps": [], "progressDeadlineSeconds": 1800}
    assert (spec["evaluation"]["policy"], spec["deletionPolicy"]) == ("Enforce", "Retain")


def test_an_unknown_field_is_refused_by_a_strict_client(rest, control_plane):
    body = voice("mei", NAMESPACE, training={"maxStep": 9})
    status, message_text = create_invalid(rest, body)
    assert (status, 'unknown field "spec.training.maxStep"' in message_text) == (400, True)
    with pytest.raises(RuntimeError, match=r"spec\.training\.maxStep"):
        control_plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=json.dumps(body))


def test_kubectl_shows_the_message_of_a_rule(control_plane):
    body = voice("mei", NAMESPACE, serving={"minReplicas": 9})
    with pytest.raises(RuntimeError, match="minReplicas must not exceed maxReplicas"):
        control_plane.kubectl("apply", "-f", "-", input=json.dumps(body))


def iter_cluster_examples():
    """Yield the examples for a cluster. The others name a local folder, which a cluster cannot reach."""
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document["kind"] == "VoiceModel" and "storage" in document["spec"]:
                yield pytest.param(document, id=path.stem)


@pytest.mark.parametrize("example", list(iter_cluster_examples()))
def test_examples_are_accepted(rest, example):
    body = merge(example, {"metadata": {"namespace": NAMESPACE}})
    path = rest.path("voicemodels", NAMESPACE, body["metadata"]["name"])
    assert rest.call("PATCH", f"{path}?fieldManager=tests&fieldValidation=Strict&dryRun=All", body, APPLY)
