"""The story that `kubectl describe` tells: Events for what changed between two statuses. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kubevoice.resources.conditions import Condition, ConditionType, Reason, State, find_condition
from kubevoice.resources.status import RevisionState, VoiceModelStatus
from kubevoice.resources.voicemodel import API_VERSION, KIND, VoiceModel

from kubevoice_operator.status import human_duration

__all__ = ["Note", "notes", "render_event"]

STAGES = {
    ConditionType.DATASET_READY: "Prepare",
    ConditionType.TRAINED: "Train",
    ConditionType.RELEASED: "Release",
}


@dataclass(frozen=True, slots=True)
class Note:
    """One Event: a CamelCase reason and a sentence."""

    reason: str
    message: str
    warning: bool = False


def _short(revision: str | None) -> str:
    return (revision or "").removeprefix("sha256:")[:12]


def _stage_notes(  # noqa: PLR0911  # one kind each
    kind: ConditionType, before: Condition | None, after: Condition, status: VoiceModelStatus
) -> Note | None:
    stage = STAGES[kind]
    if before is not None and (before.status, before.reason) == (after.status, after.reason):
        return None
    if after.status is State.TRUE:
        if before is None:
            return None
        told = {
            ConditionType.DATASET_READY: f"{status.dataset.clips} clips, {human_duration(status.dataset.seconds)} "
            f"of speech in {len(status.dataset.per_emotion)} emotions",
            ConditionType.TRAINED: f"{status.training.max_steps} steps"
            + (f", dev loss {status.training.dev_loss:.4g}" if status.training.dev_loss is not None else ""),
            ConditionType.RELEASED: f"revision {_short(status.revisions[0].digest if status.revisions else None)}",
        }[kind]
        return Note(f"{stage}Succeeded", told)
    if after.status is State.FALSE:
        return Note(
            f"{stage}Failed" if after.reason is not Reason.RETRYING else f"{stage}Retrying", after.message, True
        )
    if after.reason is Reason.RUNNING:
        return Note(f"{stage}Started", f"{stage.lower()} is running")
    if after.reason in (Reason.QUEUED, Reason.SUSPENDED):
        return Note(f"{stage}{after.reason}", after.message)
    return None


def _serving_notes(before: VoiceModelStatus, after: VoiceModelStatus) -> list[Note]:
    found: list[Note] = []
    old, new = before.serving, after.serving
    if new.rollout and new.target_revision != old.target_revision:
        came = f" from {_short(old.revision)}" if old.revision and old.revision != new.rollout.revision else ""
        found.append(Note("RolloutStarted", f"rolling out {_short(new.rollout.revision)}{came}"))
    if new.canary_weight is not None and new.canary_weight != old.canary_weight:
        found.append(Note("CanaryWeight", f"{_short(new.target_revision)} gets {new.canary_weight} % of the requests"))
    if new.revision is not None and new.revision != old.revision and new.revision == new.target_revision:
        found.append(Note("Serving", f"every replica serves {_short(new.revision)}"))
    for revision in after.revisions:
        was = next((r for r in before.revisions if r.digest == revision.digest), None)
        rejected = revision.state is RevisionState.REJECTED
        if rejected and (was is None or was.state is not RevisionState.REJECTED):
            found.append(Note("RevisionRejected", f"{_short(revision.digest)}: {revision.reason}", warning=True))
    return found


def notes(before: VoiceModelStatus, after: VoiceModelStatus) -> list[Note]:
    """Return what happened between two statuses, for people."""
    found = []
    for kind in STAGES:
        new = find_condition(after.conditions, kind)
        note = _stage_notes(kind, find_condition(before.conditions, kind), new, after) if new else None
        if note:
            found.append(note)
    found += _serving_notes(before, after)
    told = {note.message for note in found}
    return [*found, *(note for note in _health_notes(before, after) if note.message not in told)]


def _health_notes(before: VoiceModelStatus, after: VoiceModelStatus) -> list[Note]:
    """Return that nothing answers any more, or that somebody must look, or need not any more."""
    found = []
    old, new = (
        find_condition(before.conditions, ConditionType.AVAILABLE),
        find_condition(after.conditions, ConditionType.AVAILABLE),
    )
    if old and new and old.status is not State.FALSE and new.status is State.FALSE:
        found.append(Note("Unavailable", new.message, warning=True))
    old, new = (
        find_condition(before.conditions, ConditionType.DEGRADED),
        find_condition(after.conditions, ConditionType.DEGRADED),
    )
    if old and new and (old.status, old.reason) != (new.status, new.reason):
        if new.status is State.TRUE and new.message not in {note.message for note in found}:
            found.append(Note("Degraded", new.message, warning=True))
        elif old.status is State.TRUE and new.status is not State.TRUE:
            found.append(Note("Recovered", "nothing needs a look any more"))
    return found


def render_event(model: VoiceModel, note: Note, instance: str, now: datetime, name: str) -> dict[str, Any]:
    """Render a note as an Event about `model`; `name` must be new."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": model.metadata.namespace},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "kubevoice.io/operator",
        "reportingInstance": instance[:128],
        "action": note.reason,
        "reason": note.reason,
        "note": note.message[:1024],
        "type": "Warning" if note.warning else "Normal",
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": model.metadata.name,
            "namespace": model.metadata.namespace,
            "uid": model.metadata.uid,
        },
    }
