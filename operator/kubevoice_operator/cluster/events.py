"""Events for what changed between two statuses, as `kubectl describe` shows them. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kubevoice.digests import short_digest
from kubevoice.resources.conditions import Condition, ConditionType, Reason, State, find_condition
from kubevoice.resources.status import RevisionState, VoiceModelStatus
from kubevoice.resources.voicemodel import API_VERSION, KIND, VoiceModel

from kubevoice_operator.status_builder import human_duration

__all__ = ["EventNote", "diff_events", "render_event"]

REPORTER = "kubevoice.io/operator"

STAGES = {
    ConditionType.DATASET_READY: "Prepare",
    ConditionType.TRAINED: "Train",
    ConditionType.RELEASED: "Release",
}


@dataclass(frozen=True, slots=True)
class EventNote:
    """Reason, message and severity of an Event."""

    reason: str
    message: str
    warning: bool = False


def _short(revision: str | None) -> str:
    return short_digest(revision or "")


def _stage_event(  # noqa: PLR0911  # one kind each
    kind: ConditionType, before: Condition | None, after: Condition, status: VoiceModelStatus
) -> EventNote | None:
    stage = STAGES[kind]
    if before is not None and (before.status, before.reason) == (after.status, after.reason):
        return None
    if after.status is State.TRUE:
        if before is None or after.reason is Reason.NO_DATASET:
            return None
        message = {
            ConditionType.DATASET_READY: f"{status.dataset.clips} clips, {human_duration(status.dataset.seconds)} "
            f"of speech in {len(status.dataset.per_emotion)} emotions",
            ConditionType.TRAINED: f"{status.training.max_steps} steps"
            + (f", dev loss {status.training.dev_loss:.4g}" if status.training.dev_loss is not None else ""),
            ConditionType.RELEASED: f"revision {_short(status.revisions[0].digest if status.revisions else None)}",
        }[kind]
        return EventNote(f"{stage}Succeeded", message)
    if after.status is State.FALSE:
        return EventNote(
            f"{stage}Failed" if after.reason is not Reason.RETRYING else f"{stage}Retrying", after.message, True
        )
    if after.reason is Reason.RUNNING:
        return EventNote(f"{stage}Started", f"{stage.lower()} is running")
    if after.reason in (Reason.QUEUED, Reason.SUSPENDED):
        return EventNote(f"{stage}{after.reason}", after.message)
    return None


def _serving_events(before: VoiceModelStatus, after: VoiceModelStatus) -> list[EventNote]:
    notes: list[EventNote] = []
    old, new = before.serving, after.serving
    if new.rollout and new.target_revision != old.target_revision:
        origin = f" from {_short(old.revision)}" if old.revision and old.revision != new.rollout.revision else ""
        notes.append(EventNote("RolloutStarted", f"rolling out {_short(new.rollout.revision)}{origin}"))
    if new.canary_weight is not None and new.canary_weight != old.canary_weight:
        notes.append(
            EventNote("CanaryWeight", f"{_short(new.target_revision)} gets {new.canary_weight} % of the requests")
        )
    if new.revision is not None and new.revision != old.revision and new.revision == new.target_revision:
        notes.append(EventNote("Serving", f"every replica serves {_short(new.revision)}"))
    for revision in after.revisions:
        was = next((r for r in before.revisions if r.digest == revision.digest), None)
        rejected = revision.state is RevisionState.REJECTED
        if rejected and (was is None or was.state is not RevisionState.REJECTED):
            notes.append(EventNote("RevisionRejected", f"{_short(revision.digest)}: {revision.reason}", warning=True))
    return notes


def diff_events(before: VoiceModelStatus, after: VoiceModelStatus) -> list[EventNote]:
    """Return the Events for the changes from one status to the next, each message once.

    Parameters
    ----------
    before
        The status before a reconciliation.
    after
        The status after it.

    Returns
    -------
    list of EventNote
        In the order in which they happened.
    """
    notes = []
    for kind in STAGES:
        new = find_condition(after.conditions, kind)
        note = _stage_event(kind, find_condition(before.conditions, kind), new, after) if new else None
        if note:
            notes.append(note)
    notes += _serving_events(before, after)
    messages = {note.message for note in notes}
    return [*notes, *(note for note in _health_events(before, after) if note.message not in messages)]


def _health_events(before: VoiceModelStatus, after: VoiceModelStatus) -> list[EventNote]:
    """Return Events for a voice that stopped answering, became degraded, or recovered."""
    notes: list[EventNote] = []
    old, new = (
        find_condition(before.conditions, ConditionType.AVAILABLE),
        find_condition(after.conditions, ConditionType.AVAILABLE),
    )
    if old and new and old.status is not State.FALSE and new.status is State.FALSE:
        notes.append(EventNote("Unavailable", new.message, warning=True))
    old, new = (
        find_condition(before.conditions, ConditionType.DEGRADED),
        find_condition(after.conditions, ConditionType.DEGRADED),
    )
    if old and new and (old.status, old.reason) != (new.status, new.reason):
        if new.status is State.TRUE and new.message not in {note.message for note in notes}:
            notes.append(EventNote("Degraded", new.message, warning=True))
        elif old.status is State.TRUE and new.status is not State.TRUE:
            notes.append(EventNote("Recovered", "every condition is as it should be"))
    return notes


def render_event(model: VoiceModel, note: EventNote, instance: str, now: datetime, name: str) -> dict[str, Any]:
    """Render an Event about `model`.

    Parameters
    ----------
    model
        The VoiceModel.
    note
        Reason and message.
    instance
        The operator process that reports it.
    now
        When it happened.
    name
        The object's name; it must be unique in the namespace.

    Returns
    -------
    dict
        The object (core/v1; those of events.k8s.io/v1 have no last timestamp, by which kubectl sorts).
    """
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": model.metadata.namespace},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": REPORTER},
        "reportingComponent": REPORTER,
        "reportingInstance": instance[:128],
        "reason": note.reason,
        "message": note.message[:1024],
        "type": "Warning" if note.warning else "Normal",
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": model.metadata.name,
            "namespace": model.metadata.namespace,
            "uid": model.metadata.uid,
        },
    }
