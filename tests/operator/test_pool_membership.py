"""Plans for VoiceModels that a pool serves, and for their moves in and out."""

from dataclasses import replace

import pytest
from kubevoice.errors import InputError
from kubevoice.resources.conditions import ConditionType, Reason, State
from kubevoice.resources.data_plane import ReplicaState, ResidentVoices
from kubevoice.resources.status import Revision, RevisionState
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.observed_state import ObservedPool, ObservedService
from kubevoice_operator.pool_membership import list_voices, narrow_service
from kubevoice_operator.render.names import content_hash
from planning import NOW, REVISION
from pooled_voice import ALONE, POOLED, Voice, make_replica, make_service, release_into_pool, see, serve

OTHER = "sha256:" + "5" * 64
MOVED = ALONE + "  serving: {poolRef: {name: other}}\n"


def test_a_voice_in_a_pool_has_no_rayservice_and_is_ready_when_every_replica_of_the_pool_serves_it():
    voice = Voice()
    voice.pool = see(make_replica({"lei": OTHER}))
    assert len(voice.plan().jobs) == 1
    assert voice.plan().service is None
    assert voice.condition(ConditionType.READY)[:2] == (State.FALSE, Reason.ROLLING_OUT)
    voice.pool = see(serve(), make_replica({}, name="b"))
    voice.plan()
    assert voice.condition(ConditionType.READY)[0] is State.FALSE
    voice.pool = see(serve(), serve())
    result = voice.plan()
    assert voice.condition(ConditionType.READY)[:2] == (State.TRUE, Reason.SERVING)
    assert (result.service, result.bounds, result.remove_service) == (None, None, False)
    serving = voice.status.serving
    assert (serving.pool, serving.url, serving.selector) == ("shared", "http://shared", None)
    assert (serving.replicas.ready, serving.revision) == (2, REVISION)


def test_a_voice_that_its_pool_cannot_load_says_why():
    voice = release_into_pool()
    voice.pool = see(make_replica({}, {"mei": "s3://voices: its digest differs"}))
    voice.plan()
    assert voice.condition(ConditionType.READY) == (
        State.FALSE,
        Reason.SERVING_FAILED,
        "no replica can load the voice: s3://voices: its digest differs",
    )
    assert voice.condition(ConditionType.DEGRADED)[0] is State.TRUE


def test_a_loaded_revision_answers_while_the_next_one_cannot_be_loaded():
    voice = release_into_pool()
    resident = ResidentVoices(voices={"mei": REVISION}, memory_bytes=1, budget_bytes=2)
    broken = ReplicaState(replica="a", voices={}, errors={"mei": "its digest differs"}, resident=resident)
    voice.text, voice.pool = POOLED + f"  revision: {OTHER}\n", see(broken)
    voice.plan()
    assert voice.condition(ConditionType.AVAILABLE)[:2] == (State.TRUE, Reason.SERVING)
    ready = voice.condition(ConditionType.READY)
    assert ready[:2] == (State.FALSE, Reason.SERVING_FAILED)
    assert "its digest differs" in ready[2]
    assert voice.status.serving.revision == REVISION


def test_a_pool_that_cannot_serve_is_a_condition_with_what_to_do():
    voice = release_into_pool()
    voice.pool = ObservedPool("shared", problem="there is no VoicePool shared; create it")
    voice.plan()
    assert voice.condition(ConditionType.AVAILABLE) == (
        State.FALSE,
        Reason.POOL_NOT_READY,
        "there is no VoicePool shared; create it",
    )


def test_a_voice_keeps_its_own_replicas_until_the_pool_serves_it():
    voice = Voice(ALONE)
    voice.plan()
    own = voice.plan().service
    voice.own = ObservedService(content_hash(own), "http://mei", (serve(),), answers=True, bounds=(1, 8))
    voice.plan()
    assert voice.condition(ConditionType.READY)[0] is State.TRUE
    voice.text, voice.pool = POOLED, see(make_replica({}))
    result = voice.plan()
    assert (result.remove_service, result.service) == (False, None)
    assert voice.condition(ConditionType.AVAILABLE)[0] is State.TRUE
    assert voice.condition(ConditionType.READY)[:2] == (State.FALSE, Reason.ROLLING_OUT)
    assert list_voices("shared", [voice.model])
    voice.pool = see(serve())
    assert voice.plan().remove_service
    assert voice.status.serving.url == "http://shared"
    assert voice.condition(ConditionType.READY)[0] is State.TRUE


def test_a_pool_keeps_a_voice_until_its_own_replicas_serve_it():
    voice = release_into_pool()
    voice.text, voice.pool, voice.previous = ALONE, None, see(serve())
    result = voice.plan()
    assert result.service["metadata"]["name"] == "mei"
    assert voice.condition(ConditionType.AVAILABLE)[0] is State.TRUE
    assert voice.condition(ConditionType.READY)[0] is State.FALSE
    assert voice.status.serving.pool == "shared"
    assert [item.name for item in list_voices("shared", [voice.model])] == ["mei"]
    voice.own = ObservedService(content_hash(result.service), "http://mei", (serve(),), answers=True)
    voice.plan()
    assert voice.condition(ConditionType.READY)[0] is State.TRUE
    assert (voice.status.serving.pool, voice.status.serving.url) == (None, "http://mei")
    assert list_voices("shared", [voice.model]) == ()


def test_one_pool_keeps_a_voice_until_the_next_one_serves_it():
    voice = release_into_pool()
    voice.text, voice.pool, voice.previous = MOVED, see(make_replica({}), name="other"), see(serve())
    voice.plan()
    assert voice.status.serving.pool == "shared"
    assert all(list_voices(pool, [voice.model]) for pool in ("shared", "other"))
    voice.pool = see(serve(), name="other")
    voice.plan()
    assert voice.status.serving.pool == "other"
    assert list_voices("shared", [voice.model]) == ()


def test_a_suspended_voice_leaves_its_pool():
    voice = release_into_pool()
    voice.text = POOLED.replace("serving: {", "serving: {suspend: true, ")
    voice.plan()
    assert voice.status.serving.pool is None
    assert list_voices("shared", [voice.model]) == ()


def test_a_pool_lists_voices_with_their_bundles_and_limits():
    voice = release_into_pool()
    (listed,) = list_voices("shared", [voice.model, load_voicemodel(POOLED.replace("mei", "new"))])
    assert (listed.name, listed.revision, listed.uri) == ("mei", REVISION, "s3://voices/bundles/1")
    assert (listed.max_streams, listed.max_queued, listed.storage.endpoint) == (3, 32, "http://minio:9000")
    assert list_voices("another", [voice.model]) == ()


@pytest.mark.parametrize(
    "field",
    [
        "minReplicas: 2",
        "maxReplicas: 9",
        "replica: {cpu: 2}",
        "targetOngoingRequests: 4",
        "cache: {megabytes: 1}",
        "expose: {networkPolicy: true}",
        "image: other",
        "nodeSelector: {a: b}",
        'tracing: {endpoint: "http://otel:4318"}',
    ],
)
def test_settings_that_the_pool_has_are_refused_with_a_reason(field):
    with pytest.raises(InputError) as caught:
        load_voicemodel(ALONE + f"  serving: {{poolRef: {{name: shared}}, {field}}}\n")
    (problem,) = caught.value.problems
    assert "with poolRef the pool has these settings" in problem
    assert field.partition(":")[0] in problem
    load_voicemodel(ALONE + f"  serving: {{{field}}}\n")


def test_a_canary_needs_replicas_of_its_own():
    rollout = "rollout: {strategy: Canary, steps: [{weight: 10}]}"
    with pytest.raises(InputError) as caught:
        load_voicemodel(ALONE + f"  serving: {{poolRef: {{name: shared}}, {rollout}}}\n")
    assert "remove rollout.strategy Canary" in str([*caught.value.problems])


def test_a_rollback_in_a_pool_takes_the_pinned_bundle():
    voice = release_into_pool()
    older = Revision(digest=OTHER, uri="s3://voices/old", created_at=NOW, state=RevisionState.SUPERSEDED)
    voice.status = voice.status.model_copy(update={"revisions": (*voice.status.revisions, older)})
    voice.text = POOLED + f"  revision: {OTHER}\n"
    voice.plan()
    (listed,) = list_voices("shared", [voice.model])
    assert (listed.revision, listed.uri) == (OTHER, "s3://voices/old")
    voice.pool = see(serve(OTHER))
    voice.plan()
    assert voice.condition(ConditionType.READY)[:2] == (State.TRUE, Reason.PINNED)


def test_a_pool_that_sleeps_serves_at_the_next_request():
    voice = release_into_pool()
    asleep = narrow_service(make_service(), "mei", 0)
    voice.pool = ObservedPool("shared", replace(asleep, replicas=()))
    voice.plan()
    assert voice.condition(ConditionType.AVAILABLE)[:2] == (State.TRUE, Reason.SERVING)
