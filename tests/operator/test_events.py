"""Events tell what happened between two statuses, once, in sentences."""

from datetime import UTC, datetime

import pytest
from kubevoice.resources.conditions import Condition, ConditionType, Reason, State
from kubevoice.resources.status import Revision, RevisionState, RolloutStatus, ServingStatus, VoiceModelStatus
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.cluster.events import EventNote, diff_events, render_event

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE, TWO = ("sha256:" + digit * 64 for digit in "12")
PREPARE, DEGRADED, AVAILABLE = ConditionType.DATASET_READY, ConditionType.DEGRADED, ConditionType.AVAILABLE


def status(*conditions, **parts):
    conditions = tuple(
        Condition(type=kind, status=state, reason=reason, message=message, last_transition_time=NOW)
        for kind, state, reason, message in conditions
    )
    return VoiceModelStatus(conditions=conditions, **parts)


def prepare(state, reason, message=""):
    return status((PREPARE, state, reason, message))


NOTHING = VoiceModelStatus()
RUNNING = prepare(State.UNKNOWN, Reason.RUNNING, "prepare is running")


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (NOTHING, prepare(State.UNKNOWN, Reason.WAITING, "prepare is about to start"), []),
        (NOTHING, RUNNING, ["PrepareStarted"]),
        (RUNNING, prepare(State.UNKNOWN, Reason.RUNNING, "prepare is running: 50 %"), []),
        (RUNNING, prepare(State.UNKNOWN, Reason.QUEUED, "waits"), ["PrepareQueued"]),
        (RUNNING, prepare(State.UNKNOWN, Reason.SUSPENDED, "held"), ["PrepareSuspended"]),
        (RUNNING, prepare(State.FALSE, Reason.RETRYING, "it ended with 1"), ["PrepareRetrying"]),
        (RUNNING, prepare(State.FALSE, Reason.INVALID_INPUT, "row 2"), ["PrepareFailed"]),
        (RUNNING, prepare(State.TRUE, Reason.SUCCEEDED), ["PrepareSucceeded"]),
        # A status that was lost is no news: the pipeline was done before.
        (NOTHING, prepare(State.TRUE, Reason.SUCCEEDED), []),
    ],
)
def test_stages(before, after, reasons):
    assert [note.reason for note in diff_events(before, after)] == reasons


@pytest.mark.parametrize(("state", "warning"), [(State.FALSE, True), (State.UNKNOWN, False)])
def test_only_what_went_wrong_is_a_warning(state, warning):
    reason = Reason.INVALID_INPUT if warning else Reason.RUNNING
    (note,) = diff_events(NOTHING, prepare(state, reason, "said"))
    assert note.warning is warning


def test_the_same_status_tells_nothing():
    for each in (RUNNING, prepare(State.FALSE, Reason.INVALID_INPUT, "row 2")):
        assert diff_events(each, each) == []


def test_trouble_is_told_once_under_the_name_of_the_stage():
    bad = (State.FALSE, Reason.UNSCHEDULABLE, "no room")
    after = status((PREPARE, *bad), (DEGRADED, State.TRUE, Reason.UNSCHEDULABLE, "no room"))
    before = status((PREPARE, State.UNKNOWN, Reason.RUNNING, ""), (DEGRADED, State.FALSE, Reason.HEALTHY, ""))
    assert [(note.reason, note.message) for note in diff_events(before, after)] == [("PrepareFailed", "no room")]


def test_what_concerns_no_stage_is_told_when_it_comes_changes_and_goes():
    fine = status((DEGRADED, State.FALSE, Reason.HEALTHY, ""))
    missing = status((DEGRADED, State.TRUE, Reason.KUBERAY_NOT_INSTALLED, "install KubeRay"))
    refused = status((DEGRADED, State.TRUE, Reason.REFUSED_BY_API, "no"))
    assert diff_events(fine, missing) == [EventNote("Degraded", "install KubeRay", warning=True)]
    assert diff_events(missing, refused) == [EventNote("Degraded", "no", warning=True)]
    assert [note.reason for note in diff_events(refused, fine)] == ["Recovered"]


def test_a_voice_that_no_longer_answers():
    answers = status((AVAILABLE, State.TRUE, Reason.SERVING, "2 replicas answer"))
    silent = status((AVAILABLE, State.FALSE, Reason.ROLLING_OUT, "no replica answers yet"))
    stopped = status((AVAILABLE, State.FALSE, Reason.SERVING_FAILED, "gone"))
    assert diff_events(answers, silent) == [EventNote("Unavailable", "no replica answers yet", warning=True)]
    assert diff_events(silent, stopped) == []


def test_a_rollout_from_its_start_to_its_end():
    old = status(serving=ServingStatus(revision=ONE, target_revision=ONE))
    rolling = RolloutStatus(revision=TWO, started_at=NOW)
    on_its_way = status(serving=ServingStatus(revision=ONE, target_revision=TWO, rollout=rolling))
    canary = status(serving=ServingStatus(revision=ONE, target_revision=TWO, rollout=rolling, canary_weight=10))
    there = status(serving=ServingStatus(revision=TWO, target_revision=TWO))
    assert [n.message for n in diff_events(old, on_its_way)] == ["rolling out 222222222222 from 111111111111"]
    assert [n.message for n in diff_events(on_its_way, canary)] == ["222222222222 gets 10 % of the requests"]
    assert diff_events(canary, canary) == []
    assert [n.message for n in diff_events(canary, there)] == ["every replica serves 222222222222"]


def test_a_revision_is_rejected_once():
    def build_status(state, reason=""):
        revision = Revision(digest=ONE, uri="s3://v", created_at=NOW, verdict="Failed", state=state, reason=reason)
        return status(revisions=(revision,))

    rejected = build_status(RevisionState.REJECTED, "GateFailed: too slow")
    events = diff_events(NOTHING, rejected)
    assert events == [EventNote("RevisionRejected", "111111111111: GateFailed: too slow", warning=True)]
    assert diff_events(build_status(RevisionState.SUPERSEDED), rejected) == events
    assert diff_events(rejected, rejected) == []


def test_an_event_is_what_kubernetes_takes():
    model = load_voicemodel(
        """
        apiVersion: kubevoice.io/v1alpha1
        kind: VoiceModel
        metadata: {name: mei, namespace: voices, uid: u}
        spec:
          base: {uri: builtin://base}
          dataset: {uri: s3://data/set}
          storage: {artifactsUri: s3://voices}
        """
    )
    event = render_event(model, EventNote("Degraded", "x" * 5000, warning=True), "i" * 500, NOW, "mei.1")
    assert (event["type"], event["reason"], event["action"]) == ("Warning", "Degraded", "Degraded")
    assert event["eventTime"] == "2026-01-01T00:00:00.000000Z"
    assert event["regarding"] | {"uid": "u", "kind": "VoiceModel"} == event["regarding"]
    # What the API server would refuse.
    assert len(event["note"]) <= 1024
    assert len(event["reportingInstance"]) <= 128
