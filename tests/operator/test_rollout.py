"""Canary steps, promotion and rollback by the requests' errors; pruning of the artifacts of old revisions."""

from datetime import UTC, datetime, timedelta

import pytest
from kubevoice.resources.data_plane import ReplicaState, Track, TrackTraffic
from kubevoice.resources.stages import GateResult, PrepareResult, ReleaseResult
from kubevoice.resources.status import Revision, RevisionState, RolloutStatus, ServingStatus, VoiceModelStatus
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.observed_state import ObservedService, ObservedState
from kubevoice_operator.pipeline import Pipeline
from kubevoice_operator.revisions import prunable_artifacts, retained_revisions
from kubevoice_operator.rollout import decide_rollout

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64
MODEL = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: mei, namespace: voices}
spec:
  base: {uri: builtin://base}
  dataset: {uri: s3://data/set}
  storage: {artifactsUri: s3://voices}
  revisionHistoryLimit: 1
  serving:
    rollout: {strategy: Canary, steps: [{weight: 10, pauseSeconds: 60}], maxErrorRate: 0.1}
"""


def make_revision(digest, state, *artifacts):
    return Revision(digest=digest, uri=f"s3://voices/{digest[-1]}", created_at=NOW, state=state, artifacts=artifacts)


def decide_canary(requests, errors, seconds):
    """Return the decision `seconds` after the start of the canary's step."""
    rollout = RolloutStatus(revision=NEW, started_at=NOW, step=0, step_started_at=NOW)
    status = VoiceModelStatus(
        revisions=(make_revision(NEW, RevisionState.CANARY), make_revision(OLD, RevisionState.SERVING)),
        serving=ServingStatus(rollout=rollout),
    )
    model = load_voicemodel(MODEL).model_copy(update={"status": status})
    release = ReleaseResult(revision=NEW, uri="s3://voices/2", metrics={}, verdict=GateResult.PASSED)
    service = ObservedService(
        applied="",
        replicas=(
            ReplicaState(replica="a", voices={"mei": OLD}),
            ReplicaState(replica="b", voices={"mei": NEW}, track=Track.CANARY),
        ),
        traffic={Track.CANARY: TrackTraffic(requests=requests, errors=errors, p95_seconds=0.5)},
    )
    return decide_rollout(
        model, Pipeline((), released=release), ObservedState(service=service), NOW + timedelta(seconds=seconds)
    )


@pytest.mark.parametrize(("requests", "errors"), [(100, 10), (19, 19)])
def test_a_canary_keeps_its_weight_with_few_errors_or_too_few_requests(requests, errors):
    result = decide_canary(requests, errors, 5)
    assert (result.traffic.stable.revision, result.traffic.canary.revision, result.traffic.weight) == (OLD, NEW, 10)
    assert result.rejected is None


def test_a_canary_with_too_many_errors_is_rejected():
    result = decide_canary(100, 11, 5)
    assert (result.traffic.stable.revision, result.traffic.canary) == (OLD, None)
    assert "11 of its 100 requests failed" in result.rejected


def test_a_canary_is_promoted_after_its_last_pause():
    result = decide_canary(100, 0, 60)
    assert (result.traffic.stable.revision, result.traffic.canary, result.rejected) == (NEW, None, None)


@pytest.mark.parametrize(("policy", "paths"), [("Delete", ("train/x", "bundles/1")), ("Retain", ())])
def test_artifacts_of_old_revisions_are_pruned_unless_another_needs_them(policy, paths):
    model = load_voicemodel(MODEL + f"  deletionPolicy: {policy}\n")
    revisions = (
        make_revision(NEW, RevisionState.SERVING, "prepare/shared", "train/y", "bundles/2"),
        make_revision(OLD, RevisionState.SUPERSEDED, "prepare/shared", "train/x", "bundles/1"),
    )
    assert [r.digest for r in retained_revisions(model, revisions)] == [NEW]
    assert prunable_artifacts(model, Pipeline(()), revisions) == paths


def test_features_of_an_earlier_prepare_are_not_pruned_while_they_are_used():
    model = load_voicemodel(MODEL + "  deletionPolicy: Delete\n")
    revisions = (
        make_revision(NEW, RevisionState.SERVING, "train/y", "bundles/2"),
        make_revision(OLD, RevisionState.SUPERSEDED, "prepare/first", "train/x", "bundles/1"),
    )
    prepared = PrepareResult(
        dataset_digest=OLD,
        features_uri="s3://voices/voices/mei/prepare/first/features",
        features_digest=OLD,
        clips=1,
        seconds=1,
        per_emotion={},
    )
    assert prunable_artifacts(model, Pipeline((), prepared), revisions) == ("train/x", "bundles/1")
