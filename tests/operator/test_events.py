"""Events describe the changes between two statuses, each once, in sentences."""

from datetime import UTC, datetime

import pytest
from kubevoice.resources.conditions import Condition, ConditionType, Reason, State
from kubevoice.resources.status import Revision, RevisionState, RolloutStatus, ServingStatus, VoiceModelStatus
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.cluster.events import EventNote, diff_events, render_event

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE, TWO = ("sha256:" + digit * 64 for digit in "12")
PREPARE, DEGRADED, AVAILABLE = ConditionType.DATASET_READY, ConditionType.DEGRADED, ConditionType.AVAILABLE


def make_status(*conditions, **parts):
    conditions = tuple(
        Condition(type=kind, status=state, reason=reason, message=message, last_transition_time=NOW)
        for kind, state, reason, message in conditions
    )
    return VoiceModelStatus(conditions=conditions, **parts)


def make_prepare_status(state, reason, message=""):
    return make_status((PREPARE, state, reason, message))


EMPTY = VoiceModelStatus()
RUNNING = make_prepare_status(State.UNKNOWN, Reason.RUNNING, "prepare is running")


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (EMPTY, make_prepare_status(State.UNKNOWN, Reason.WAITING, "prepare is about to start"), []),
        (EMPTY, RUNNING, ["PrepareStarted"]),
        (RUNNING, make_prepare_status(State.UNKNOWN, Reason.RUNNING, "prepare is running: 50 %"), []),
        (RUNNING, make_prepare_status(State.UNKNOWN, Reason.QUEUED, "waits"), ["PrepareQueued"]),
        (RUNNING, make_prepare_status(State.UNKNOWN, Reason.SUSPENDED, "held"), ["PrepareSuspended"]),
        (RUNNING, make_prepare_status(State.FALSE, Reason.RETRYING, "it ended with 1"), ["PrepareRetrying"]),
        (RUNNING, make_prepare_status(State.FALSE, Reason.INVALID_INPUT, "row 2"), ["PrepareFailed"]),
        (RUNNING, make_prepare_status(State.TRUE, Reason.SUCCEEDED), ["PrepareSucceeded"]),
        (RUNNING, make_prepare_status(State.TRUE, Reason.NO_DATASET), []),
        # No event if only the status was lost: the pipeline had succeeded before.
        (EMPTY, make_prepare_status(State.TRUE, Reason.SUCCEEDED), []),
    ],
)
def test_stages(before, after, reasons):
    assert [note.reason for note in diff_events(before, after)] == reasons


@pytest.mark.parametrize(("state", "warning"), [(State.FALSE, True), (State.UNKNOWN, False)])
def test_only_failures_are_warnings(state, warning):
    reason = Reason.INVALID_INPUT if warning else Reason.RUNNING
    (note,) = diff_events(EMPTY, make_prepare_status(state, reason, "message"))
    assert note.warning is warning


def test_an_unchanged_status_has_no_event():
    for unchanged in (RUNNING, make_prepare_status(State.FALSE, Reason.INVALID_INPUT, "row 2")):
        assert diff_events(unchanged, unchanged) == []


def test_a_problem_of_a_stage_has_one_event_named_after_the_stage():
    bad = (State.FALSE, Reason.UNSCHEDULABLE, "no room")
    after = make_status((PREPARE, *bad), (DEGRADED, State.TRUE, Reason.UNSCHEDULABLE, "no room"))
    before = make_status((PREPARE, State.UNKNOWN, Reason.RUNNING, ""), (DEGRADED, State.FALSE, Reason.HEALTHY, ""))
    assert [(note.reason, note.message) for note in diff_events(before, after)] == [("PrepareFailed", "no room")]


def test_another_problem_has_events_when_it_begins_changes_and_ends():
    healthy = make_status((DEGRADED, State.FALSE, Reason.HEALTHY, ""))
    missing = make_status((DEGRADED, State.TRUE, Reason.KUBERAY_NOT_INSTALLED, "install KubeRay"))
    refused = make_status((DEGRADED, State.TRUE, Reason.REFUSED_BY_API, "no"))
    assert diff_events(healthy, missing) == [EventNote("Degraded", "install KubeRay", warning=True)]
    assert diff_events(missing, refused) == [EventNote("Degraded", "no", warning=True)]
    assert [note.reason for note in diff_events(refused, healthy)] == ["Recovered"]


def test_a_voice_that_becomes_unavailable_has_a_warning():
    available = make_status((AVAILABLE, State.TRUE, Reason.SERVING, "2 replicas answer"))
    silent = make_status((AVAILABLE, State.FALSE, Reason.ROLLING_OUT, "no replica answers yet"))
    stopped = make_status((AVAILABLE, State.FALSE, Reason.SERVING_FAILED, "gone"))
    assert diff_events(available, silent) == [EventNote("Unavailable", "no replica answers yet", warning=True)]
    assert diff_events(silent, stopped) == []


def test_a_rollout_has_an_event_for_each_step():
    old = make_status(serving=ServingStatus(revision=ONE, target_revision=ONE))
    rolling = RolloutStatus(revision=TWO, started_at=NOW)
    started = make_status(serving=ServingStatus(revision=ONE, target_revision=TWO, rollout=rolling))
    canary = make_status(serving=ServingStatus(revision=ONE, target_revision=TWO, rollout=rolling, canary_weight=10))
    complete = make_status(serving=ServingStatus(revision=TWO, target_revision=TWO))
    assert [n.message for n in diff_events(old, started)] == ["rolling out 222222222222 from 111111111111"]
    assert [n.message for n in diff_events(started, canary)] == ["222222222222 gets 10 % of the requests"]
    assert diff_events(canary, canary) == []
    assert [n.message for n in diff_events(canary, complete)] == ["every replica serves 222222222222"]


def test_a_rejected_revision_has_one_event():
    def build_status(state, reason=""):
        revision = Revision(digest=ONE, uri="s3://v", created_at=NOW, verdict="Failed", state=state, reason=reason)
        return make_status(revisions=(revision,))

    rejected = build_status(RevisionState.REJECTED, "GateFailed: too slow")
    events = diff_events(EMPTY, rejected)
    assert events == [EventNote("RevisionRejected", "111111111111: GateFailed: too slow", warning=True)]
    assert diff_events(build_status(RevisionState.SUPERSEDED), rejected) == events
    assert diff_events(rejected, rejected) == []


def test_a_rendered_event_is_valid_for_kubernetes():
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
    assert (event["type"], event["reason"]) == ("Warning", "Degraded")
    assert event["lastTimestamp"] == "2026-01-01T00:00:00Z"
    assert event["involvedObject"] | {"uid": "u", "kind": "VoiceModel"} == event["involvedObject"]
    # The API server refuses longer ones.
    assert len(event["message"]) <= 1024
    assert len(event["reportingInstance"]) <= 128
