"""No status is refused by the API server, and a field that is refused does not hold back the rest."""

import asyncio
import json
from copy import deepcopy
from datetime import UTC, datetime

import operators
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubelet import Voices
from kubernetes.aio.config import new_client_from_config
from kubevoice.resources.conditions import ConditionType, Reason
from kubevoice.resources.crd import VOICE_MODELS, build_crd
from kubevoice.resources.status import LastFailure, Phase, TrainingStatus, VoiceModelStatus
from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.requests import ApiRequests
from kubevoice_operator.cluster.status_writer import StatusWriter

pytestmark = pytest.mark.xdist_group("control_plane")

NAMESPACE, NAME = "status", "mei"
CRD = "apis/apiextensions.k8s.io/v1/customresourcedefinitions/voicemodels.kubevoice.io"
JSON_PATCH = "application/json-patch+json"
REFUSALS = "kubevoice_operator_status_refusals_total"


STATUS = build_crd(VOICE_MODELS)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
TIMES = st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MAX_ITEMS = 3


def values(schema):
    """Return a strategy for what a schema of the CRD allows."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "object":
        return maps(schema)
    if schema["type"] == "array":
        return st.lists(values(schema["items"]), max_size=min(MAX_ITEMS, schema.get("maxItems", MAX_ITEMS)))
    if schema.get("format") == "date-time":
        return TIMES.map(datetime.isoformat)
    return {
        "string": TEXTS.map(lambda text: text[: schema.get("maxLength")]),
        "integer": st.integers(schema.get("minimum", -(2**31)), 2**31),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
    }[schema["type"]]


def maps(schema):
    if "additionalProperties" in schema:
        return st.dictionaries(TEXTS, values(schema["additionalProperties"]), max_size=MAX_ITEMS)
    optional = {name: values(part) for name, part in schema["properties"].items()}
    required = {name: optional.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=optional)


def unique(items, key):
    return list({item[key]: item for item in items}.values())


def parse(body):
    """Return a status in which no two items of a list map have the same key, as the planner guarantees."""
    body = deepcopy(body)
    for field, key in (("conditions", "type"), ("revisions", "digest")):
        if field in body:
            body[field] = unique(body[field], key)
    return VoiceModelStatus.model_validate(body)


@pytest.fixture
def voices(rest, control_plane):
    voices = Voices(rest, control_plane.namespace(NAMESPACE))
    voices.make(NAME)
    yield voices
    rest.delete("voicemodels", NAMESPACE, NAME)
    voices.wait("no VoiceModel", lambda: rest.get("voicemodels", NAMESPACE, NAME) is None)


@pytest.fixture
def write(control_plane, voices):
    """Write statuses, one after the other, as the operator does; return the number of refusals."""

    async def write_all(*statuses):
        metrics, client = OperatorMetrics(), await new_client_from_config(str(control_plane.kubeconfig))
        writer = StatusWriter(KubernetesApi(ApiRequests(client, metrics)), metrics)
        try:
            for status in statuses:
                await writer.write(Key(NAMESPACE, NAME), voices.get(NAME), status)
        finally:
            await client.close()
        return metrics.registry.get_sample_value(REFUSALS)

    return lambda *statuses: asyncio.run(write_all(*statuses))


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(first=values(STATUS).map(parse), second=values(STATUS).map(parse))
def test_any_status_may_follow_any_other(write, voices, first, second):
    assert write(first, second, VoiceModelStatus(), first) == 0
    assert VoiceModelStatus.model_validate(voices.status(NAME)) == first


def test_numbers_that_json_lacks_and_texts_that_are_too_long_are_no_obstacle(write, voices):
    failure = LastFailure(stage="train", reason="r", message="x" * 5000, time="2026-01-01T00:00:00Z")
    training = TrainingStatus(step=3, loss=float("nan"), dev_loss=float("inf"))
    assert write(VoiceModelStatus(training=training, last_failure=failure)) == 0
    status = voices.status(NAME)
    assert status["training"]["step"] == 3
    assert "loss" not in status["training"]
    assert status["lastFailure"]["message"] == "x" * 4096


@pytest.fixture
def old_definition(rest):
    """A CustomResourceDefinition that allows less in the status than the operator's."""
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/display/properties/progress/maxLength"
    before = rest.call("GET", CRD)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    limit = before["properties"]["status"]["properties"]["display"]["properties"]["progress"]["maxLength"]
    change = lambda value: rest.call("PATCH", CRD, [{"op": "replace", "path": path, "value": value}], JSON_PATCH)  # noqa: E731
    change(1)
    yield
    change(limit)


def test_a_refused_field_is_logged_and_counted_and_the_rest_is_written(control_plane, voices, old_definition, tmp_path):
    with operators.operator(control_plane, tmp_path) as operator:
        voices.run(NAME, ("prepare",))
        voices.wait_condition(NAME, "DatasetReady", "True", Reason.SUCCEEDED)
        voices.wait("a refusal", lambda: operator.metric(REFUSALS) > 0)
        assert voices.status(NAME)["phase"] == Phase.TRAINING
        assert voices.condition(NAME, ConditionType.READY)[0] == "False"
        assert operator.metric('kubevoice_operator_reconcile_errors_total{kind="api"}') == 0
    records = [json.loads(line) for line in operator.log.read_text().splitlines()]
    assert any("status.display.progress" in record["message"] for record in records if record["level"] == "error")


def test_a_status_made_from_an_older_version_does_not_undo_a_newer_one(control_plane, voices):
    async def write_twice():
        metrics, client = OperatorMetrics(), await new_client_from_config(str(control_plane.kubeconfig))
        writer = StatusWriter(KubernetesApi(ApiRequests(client, metrics)), metrics)
        raw, key = voices.get(NAME), Key(NAMESPACE, NAME)
        try:
            newer = await writer.write(key, raw, VoiceModelStatus(phase=Phase.TRAINING))
            return newer, await writer.write(key, raw, VoiceModelStatus(phase=Phase.PREPARING))
        finally:
            await client.close()

    newer, older = asyncio.run(write_twice())
    assert (newer["status"]["phase"], older) == ("Training", None)
    assert voices.status(NAME)["phase"] == "Training"
