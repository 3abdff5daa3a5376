"""The ways to a voice: what is made, when, and what is said of it.

Rendered objects are compared with golden/exposure.yaml, too; see test_planner.py for how it is written.
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


class Plain(yaml.SafeDumper):
    """Each object whole, even where a part of it stands twice."""

    def ignore_aliases(self, _data):
        return True


def model(*, suspend=False, **expose):
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
    whole = load_voicemodel((GOLDEN / "voicemodel.yaml").read_text())
    objects = [*render_exposure(whole), *render_exposure(model(httpRoute=ROUTE))]
    written = yaml.dump_all(objects, Dumper=Plain, sort_keys=False)
    path = GOLDEN / "exposure.yaml"
    if os.environ.get("KUBEVOICE_UPDATE_GOLDEN"):
        path.write_text(written)
    assert path.read_text() == written


def test_an_ingress_has_no_annotations_but_those_given():
    (ingress,) = render_exposure(model(ingress=INGRESS))
    assert "annotations" not in ingress["metadata"]
    assert ingress["spec"].keys() == {"rules"}


def test_what_is_there_as_it_should_be_is_left_alone_and_told():
    voice = model(ingress=INGRESS, networkPolicy=True)
    result = plan_exposure(voice, applied=hash_exposure(voice))
    assert (result.expose, result.unexpose) == ((), ())
    assert read_condition(result)[:2] == (State.TRUE, Reason.EXPOSED)


def test_what_is_missing_or_changed_is_applied():
    before, after = model(ingress=INGRESS), model(ingress=INGRESS | {"className": "nginx"}, networkPolicy=True)
    result = plan_exposure(after, applied=hash_exposure(before))
    assert [item["kind"] for item in result.expose] == ["NetworkPolicy", "Ingress"]
    assert read_condition(result)[:2] == (State.UNKNOWN, Reason.WAITING)


def test_what_is_no_longer_asked_for_goes_and_so_does_its_condition():
    before = model(ingress=INGRESS, networkPolicy=True)
    status = plan_exposure(before, applied=hash_exposure(before)).status
    after = model().model_copy(update={"status": status})
    result = plan_exposure(after, applied=hash_exposure(before))
    assert sorted(result.unexpose) == ["Ingress", "NetworkPolicy"]
    assert read_condition(result) is None


@pytest.mark.parametrize("way", [{"ingress": INGRESS}, {"httpRoute": ROUTE}])
def test_a_suspended_voice_has_no_way_in_but_stays_protected(way):
    before = model(networkPolicy=True, **way)
    result = plan_exposure(model(suspend=True, networkPolicy=True, **way), applied=hash_exposure(before))
    assert result.unexpose == tuple({"ingress": "Ingress", "httpRoute": "HTTPRoute"}[name] for name in way)
    assert result.expose == ()


def test_what_hinders_one_is_told_and_nothing_else_stops():
    voice = model(httpRoute=ROUTE, networkPolicy=True)
    exposure_errors = {"HTTPRoute": (Reason.GATEWAY_API_NOT_INSTALLED, "install the Gateway API")}
    result = plan_exposure(voice, errors=exposure_errors)
    assert read_condition(result) == (
        State.FALSE,
        Reason.GATEWAY_API_NOT_INSTALLED,
        "HTTPRoute: install the Gateway API",
    )
    assert [job["metadata"]["labels"]["kubevoice.io/stage"] for job in result.jobs] == ["prepare"]


def test_on_one_machine_there_is_nothing_to_make():
    result = plan(model(ingress=INGRESS, networkPolicy=True), ObservedState(), NOW, Images())
    assert (result.expose, result.unexpose, read_condition(result)) == ((), (), None)
