"""Conditions, phase and messages of the status."""

import pytest
from kubevoice.resources.conditions import ConditionType, Reason, State, find_condition
from kubevoice.resources.data_plane import ReplicaState
from kubevoice.resources.status import Phase
from kubevoice_operator.observed_state import ObservedService
from planning import MODEL, REVISION, STAGES, plan_after

S3_AWAY = "kubevoice.errors.KubeVoiceError: s3://voices/bundles/1: Connection refused"


def get_condition(plan, kind):
    return find_condition(plan.status.conditions, kind)


def make_service(count, **more):
    replicas = tuple(ReplicaState(replica=str(i), voices={"mei": REVISION}) for i in range(count))
    return ObservedService("h", "http://mei", replicas, **more)


def test_a_replica_that_cannot_start_is_in_the_status_beside_those_that_serve():
    model = MODEL + "  serving: {minReplicas: 2, maxReplicas: 2}\n"
    result = plan_after(STAGES, model=model, service=make_service(1, start_error=S3_AWAY))
    ready = get_condition(result, ConditionType.READY)
    assert (ready.status, ready.reason) == (State.FALSE, Reason.SERVING_FAILED)
    assert "1 of 2 replicas" in ready.message
    assert "Connection refused" in ready.message
    assert get_condition(result, ConditionType.AVAILABLE).message == "1 replica answers"
    assert get_condition(result, ConditionType.DEGRADED).status is State.TRUE
    complete = plan_after(STAGES, model=model, service=make_service(2, start_error=S3_AWAY))
    assert get_condition(complete, ConditionType.READY).status is State.TRUE
    assert get_condition(complete, ConditionType.AVAILABLE).message == "2 replicas answer"


def test_a_voice_with_a_replica_that_is_starting_is_ready_and_counts_them():
    model = MODEL + "  serving: {minReplicas: 2, maxReplicas: 2}\n"
    ready = get_condition(plan_after(STAGES, model=model, service=make_service(1)), ConditionType.READY)
    assert ready.status is State.TRUE
    assert "1 of 2 replicas" in ready.message


def test_the_first_replica_that_cannot_start_says_why():
    available = get_condition(plan_after(STAGES, service=make_service(0, start_error=S3_AWAY)), ConditionType.AVAILABLE)
    assert (available.status, available.reason) == (State.FALSE, Reason.SERVING_FAILED)
    assert "Connection refused" in available.message


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [("", "sets no threshold"), ("  evaluation: {maxPinyinErrorRate: 0.5}\n", "within its threshold")],
)
def test_the_gate_says_whether_there_was_a_threshold(evaluation, message):
    evaluated = get_condition(plan_after(STAGES, model=MODEL + evaluation, failures=()), ConditionType.EVALUATED)
    assert evaluated.reason is Reason.GATE_PASSED
    assert message in evaluated.message


def test_a_pinned_revision_that_serves_is_ready_while_training_is_suspended():
    model = MODEL + f"  revision: {REVISION}\n  training: {{suspend: true}}\n"
    assert plan_after([], model=model, service=make_service(1)).status.phase is Phase.READY
    suspended = MODEL + "  training: {suspend: true}\n"
    assert plan_after([], model=suspended).status.phase is Phase.SUSPENDED
