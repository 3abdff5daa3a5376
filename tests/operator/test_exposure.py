"""Exposure of a voice: which objects are rendered, applied and deleted, and the condition.

Rendered objects are also compared with golden/exposure.yaml; see test_planner.py for how to update it.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from kubevoice.resources.conditions import ConditionType, Reason, State, find_condition
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.observed_state import ObservedExposure, ObservedState
from kubevoice_operator.planner import plan
from kubevoice_operator.render.exposure import render_exposure
from kubevoice_operator.render.names import Images, content_hash

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROUTE = {"parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": ["mei.example.com"]}
INGRESS = {"host": "mei.example.com"}


class NoAliasDumper(yaml.SafeDumper):
    """Writes no aliases for parts that appear twice."""

    def ignore_aliases(self, _data):
        return True


def make_model(*, suspend=False, **expose):
    body = yaml.safe_load((GOLDEN / "voicemodel.yaml").read_text())
    body["spec"]["serving"] |= {"expose": expose, "suspend": suspend}
    return load_voicemodel(yaml.safe_dump(body))


def plan_exposure(model, **exposure):
    return plan(model, ObservedState(exposure=ObservedExposure(**exposure)), NOW, Images())


def read_condition(result):
    condition = find_condition(result.status.conditions, ConditionType.EXPOSED)
    return condition and (condition.status, condition.reason, condition.message)


def hash_exposure(model):
    return {item["kind"]: content_hash(item) for item in render_exposure(model)}


def test_they_are_rendered_as_recorded():
    full = load_voicemodel((GOLDEN / "voicemodel.yaml").read_text())
    objects = [*render_exposure(full), *render_exposure(make_model(httpRoute=ROUTE))]
    written = yaml.dump_all(objects, Dumper=NoAliasDumper, sort_keys=False)
    path = GOLDEN / "exposure.yaml"
    if os.environ.get("KUBEVOICE_UPDATE_GOLDEN"):
        path.write_text(written)
    assert path.read_text() == written


def test_an_ingress_has_only_the_annotations_of_the_spec():
    (ingress,) = render_exposure(make_model(ingress=INGRESS))
    assert "annotations" not in ingress["metadata"]
    assert ingress["spec"].keys() == {"rules"}


def test_up_to_date_objects_are_not_applied_and_the_condition_is_true():
    voice = make_model(ingress=INGRESS, networkPolicy=True)
    result = plan_exposure(voice, applied=hash_exposure(voice))
    assert (result.expose, result.unexpose) == ((), ())
    assert read_condition(result)[:2] == (State.TRUE, Reason.EXPOSED)


def test_missing_or_changed_objects_are_applied():
    before, after = (
        make_model(ingress=INGRESS),
        make_model(ingress=INGRESS | {"className": "nginx"}, networkPolicy=True),
    )
    result = plan_exposure(after, applied=hash_exposure(before))
    assert [item["kind"] for item in result.expose] == ["NetworkPolicy", "Ingress"]
    assert read_condition(result)[:2] == (State.UNKNOWN, Reason.WAITING)


def test_objects_that_the_spec_no_longer_has_are_deleted_with_the_condition():
    before = make_model(ingress=INGRESS, networkPolicy=True)
    status = plan_exposure(before, applied=hash_exposure(before)).status
    after = make_model().model_copy(update={"status": status})
    result = plan_exposure(after, applied=hash_exposure(before))
    assert sorted(result.unexpose) == ["Ingress", "NetworkPolicy"]
    assert read_condition(result) is None


@pytest.mark.parametrize("expose", [{"ingress": INGRESS}, {"httpRoute": ROUTE}])
def test_a_suspended_voice_has_no_route_but_keeps_its_network_policy(expose):
    before = make_model(networkPolicy=True, **expose)
    result = plan_exposure(make_model(suspend=True, networkPolicy=True, **expose), applied=hash_exposure(before))
    assert result.unexpose == tuple({"ingress": "Ingress", "httpRoute": "HTTPRoute"}[name] for name in expose)
    assert result.expose == ()


def test_an_error_of_one_object_is_in_the_condition_and_stops_nothing_else():
    voice = make_model(httpRoute=ROUTE, networkPolicy=True)
    exposure_errors = {"HTTPRoute": (Reason.GATEWAY_API_NOT_INSTALLED, "install the Gateway API")}
    result = plan_exposure(voice, errors=exposure_errors)
    assert read_condition(result) == (
        State.FALSE,
        Reason.GATEWAY_API_NOT_INSTALLED,
        "HTTPRoute: install the Gateway API",
    )
    assert [job["metadata"]["labels"]["kubevoice.io/stage"] for job in result.jobs] == ["prepare"]


def test_on_one_machine_nothing_is_exposed():
    result = plan(make_model(ingress=INGRESS, networkPolicy=True), ObservedState(), NOW, Images())
    assert (result.expose, result.unexpose, read_condition(result)) == ((), (), None)
