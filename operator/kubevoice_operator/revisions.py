"""The history of revisions: what was released, what became of it, what may be forgotten. Pure."""

from datetime import datetime

from kubevoice.resources.conditions import Reason
from kubevoice.resources.stages import ReleaseResult, Stage, Verdict, spec_key
from kubevoice.resources.status import Revision, RevisionState
from kubevoice.resources.voicemodel import DeletionPolicy, VoiceModel

from kubevoice_operator.chain import Chain
from kubevoice_operator.rollout import Rollout

__all__ = ["marked", "removable", "within_limit"]


def _artifacts(chain: Chain, released: ReleaseResult) -> tuple[str, ...]:
    """List what a revision rests on, relative to the voice's folder."""
    outputs = [f"{step.stage}/{spec_key(step.stage, step.spec)}" for step in chain.steps]
    return (*outputs, f"bundles/{released.revision.removeprefix('sha256:')}")


def _state(revision: Revision, rollout: Rollout, refusal: str) -> tuple[RevisionState, str]:
    traffic = rollout.traffic
    if traffic and revision.digest == traffic.stable.revision:
        return RevisionState.SERVING, ""
    if traffic and traffic.canary and revision.digest == traffic.canary.revision:
        return RevisionState.CANARY, ""
    if refusal:
        return RevisionState.REJECTED, refusal
    if revision.state is RevisionState.REJECTED and revision.reason.startswith(Reason.CANARY_BACKED_OUT):
        return RevisionState.REJECTED, revision.reason
    return RevisionState.SUPERSEDED, ""


def marked(model: VoiceModel, chain: Chain, rollout: Rollout, now: datetime) -> tuple[Revision, ...]:
    """Return every revision known, the newest first, with what became of each."""
    known = {revision.digest: revision for revision in model.status.revisions}
    released = chain.released
    if released is not None:
        old = known.get(released.revision)
        new = Revision(
            digest=released.revision,
            uri=released.uri,
            created_at=old.created_at if old else now,
            generation=old.generation if old else model.metadata.generation,
            metrics=released.metrics,
            verdict=released.verdict,
            state=old.state if old else RevisionState.SUPERSEDED,
            reason=old.reason if old else "",
            artifacts=_artifacts(chain, released),
        )
        known = known | {new.digest: new} if old else {new.digest: new} | known
    found = []
    for revision in known.values():
        refusal = ""
        if released is not None and revision.digest == released.revision:
            if released.verdict is Verdict.FAILED:
                refusal = f"{Reason.GATE_FAILED}: {'; '.join(released.failures)}"
            elif rollout.rejected:
                refusal = f"{Reason.CANARY_BACKED_OUT}: {rollout.rejected}"
        state, reason = _state(revision, rollout, refusal)
        found.append(revision.model_copy(update={"state": state, "reason": reason[:1024]}))
    return tuple(found)


def within_limit(model: VoiceModel, revisions: tuple[Revision, ...]) -> tuple[Revision, ...]:
    """Return the revisions that the history keeps: those that answer, then the newest."""
    answering = [r for r in revisions if r.state in (RevisionState.SERVING, RevisionState.CANARY)]
    others = [r for r in revisions if r not in answering]
    kept = answering + others[: max(0, model.spec.revision_history_limit - len(answering))]
    return tuple(r for r in revisions if r in kept)


def removable(model: VoiceModel, chain: Chain, revisions: tuple[Revision, ...]) -> tuple[str, ...]:
    """List artifacts of revisions that drop out of the history and that nothing kept rests on.

    Only with deletionPolicy Delete; otherwise what is in storage stays there.
    """
    if model.spec.deletion_policy is not DeletionPolicy.DELETE:
        return ()
    kept = within_limit(model, revisions)
    needed = {path for revision in kept for path in revision.artifacts}
    needed |= {f"{step.stage}/{spec_key(step.stage, step.spec)}" for step in chain.steps}
    dropped = [path for revision in revisions if revision not in kept for path in revision.artifacts]
    return tuple(path for path in dict.fromkeys(dropped) if path not in needed and not path.startswith(Stage.COLLECT))
