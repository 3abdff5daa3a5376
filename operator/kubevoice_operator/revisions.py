"""The revision history: what was released, the state of each revision, and which artifacts can be pruned. Pure."""

from datetime import datetime

from kubevoice.resources.conditions import Reason
from kubevoice.resources.stages import GateResult, ReleaseResult, Stage, spec_key
from kubevoice.resources.status import Revision, RevisionState
from kubevoice.resources.voicemodel import DeletionPolicy, VoiceModel

from kubevoice_operator.pipeline import Pipeline
from kubevoice_operator.rollout import RolloutDecision

__all__ = ["prunable_artifacts", "retained_revisions", "update_history"]


def _artifacts(pipeline: Pipeline, released: ReleaseResult) -> tuple[str, ...]:
    """List the artifacts of a revision, relative to the voice's folder."""
    return (*_outputs(pipeline), f"bundles/{released.revision.removeprefix('sha256:')}")


def _outputs(pipeline: Pipeline) -> list[str]:
    """List the outputs of the stages. Features may be those of an earlier `prepare` that read the same contents."""
    outputs = [f"{step.stage}/{spec_key(step.stage, step.spec)}" for step in pipeline.steps]
    features = pipeline.prepared.features_uri.split("/")[-3:-1] if pipeline.prepared else []
    return list(dict.fromkeys([*outputs, *(["/".join(features)] if features[:1] == [Stage.PREPARE] else [])]))


def _resolve_state(revision: Revision, rollout: RolloutDecision, refusal: str) -> tuple[RevisionState, str]:
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


def update_history(
    model: VoiceModel, pipeline: Pipeline, rollout: RolloutDecision, now: datetime
) -> tuple[Revision, ...]:
    """Add the released revision to the history and update the state of every revision.

    Parameters
    ----------
    model
        The VoiceModel with the history as it was written last.
    pipeline
        Its stages; a released revision is added.
    rollout
        The decision about which revisions serve.
    now
        The creation time of a new revision.

    Returns
    -------
    tuple of Revision
        The newest first.
    """
    by_digest = {revision.digest: revision for revision in model.status.revisions}
    released = pipeline.released
    if released is not None:
        old = by_digest.get(released.revision)
        new = Revision(
            digest=released.revision,
            uri=released.uri,
            created_at=old.created_at if old else now,
            generation=old.generation if old else model.metadata.generation,
            metrics=released.metrics,
            verdict=released.verdict,
            state=old.state if old else RevisionState.SUPERSEDED,
            reason=old.reason if old else "",
            artifacts=tuple(dict.fromkeys((*_artifacts(pipeline, released), *(old.artifacts if old else ()))))[:8],
        )
        by_digest = by_digest | {new.digest: new} if old else {new.digest: new} | by_digest
    updated = []
    for revision in by_digest.values():
        refusal = ""
        if released is not None and revision.digest == released.revision:
            if released.verdict is GateResult.FAILED:
                refusal = f"{Reason.GATE_FAILED}: {'; '.join(released.failures)}"
            elif rollout.rejected:
                refusal = f"{Reason.CANARY_BACKED_OUT}: {rollout.rejected}"
        state, reason = _resolve_state(revision, rollout, refusal)
        updated.append(revision.model_copy(update={"state": state, "reason": reason[:1024]}))
    return tuple(updated)


def retained_revisions(model: VoiceModel, revisions: tuple[Revision, ...]) -> tuple[Revision, ...]:
    """Return the revisions within spec.revisionHistoryLimit: those that serve, then the newest.

    Parameters
    ----------
    model
        The VoiceModel.
    revisions
        The revision history, the newest first.

    Returns
    -------
    tuple of Revision
        In the order of the history.
    """
    serving = [r for r in revisions if r.state in (RevisionState.SERVING, RevisionState.CANARY)]
    idle = [r for r in revisions if r not in serving]
    retained = serving + idle[: max(0, model.spec.revision_history_limit - len(serving))]
    return tuple(r for r in revisions if r in retained)


def prunable_artifacts(model: VoiceModel, pipeline: Pipeline, revisions: tuple[Revision, ...]) -> tuple[str, ...]:
    """List artifacts that only revisions beyond the history limit need; none unless deletionPolicy is Delete.

    Parameters
    ----------
    model
        The VoiceModel.
    pipeline
        How far the stages of the wanted revision are; their artifacts are kept.
    revisions
        The revision history, the newest first.

    Returns
    -------
    tuple of str
        Folders, relative to the voice's folder.
    """
    if model.spec.deletion_policy is not DeletionPolicy.DELETE:
        return ()
    retained = retained_revisions(model, revisions)
    needed = {path for revision in retained for path in revision.artifacts}
    needed |= set(_outputs(pipeline))
    dropped = [path for revision in revisions if revision not in retained for path in revision.artifacts]
    return tuple(path for path in dict.fromkeys(dropped) if path not in needed and not path.startswith(Stage.COLLECT))
