"""Plans for a VoicePool."""

import pytest
import yaml
from kubevoice.resources.conditions import ConditionType, Reason, State, find_condition
from kubevoice.resources.exposure import Expose, IngressRule
from kubevoice.resources.voicepool import VoicePool
from kubevoice_operator.observed_state import ObservedExposure, ObservedService, ObservedState
from kubevoice_operator.pool_membership import list_voices
from kubevoice_operator.pool_planner import plan_pool
from kubevoice_operator.render.names import Images
from planning import GOLDEN, NOW, REVISION, compare_with_golden
from pooled_voice import make_replica, make_service, release_into_pool


def make_pool(**spec):
    return VoicePool.model_validate({"metadata": {"name": "shared", "namespace": "voices", "uid": "u"}, "spec": spec})


def plan_shared(pool, voices, **observed):
    return plan_pool(pool, voices, ObservedState(**observed), NOW, Images())


def shared_voices(*names):
    (voice,) = list_voices("shared", [release_into_pool().model])
    return [voice.model_copy(update={"name": name}) for name in names]


def user_configs(service):
    (application,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    return {deployment["name"]: deployment["user_config"] for deployment in application["deployments"]}


def test_a_pool_is_rendered_as_recorded():
    pool = make_pool(
        storage={"secretRef": {"name": "s3"}},
        residency={"memory": "1536Mi", "keep": ["mei", "gone"], "idleSeconds": 60},
        defaultVoice="mei",
        serving={"replica": {"memory": "4Gi"}},
    )
    service = plan_shared(pool, shared_voices("lei", "mei")).service
    service["spec"]["serveConfigV2"] = yaml.safe_load(service["spec"]["serveConfigV2"])
    compare_with_golden(service, GOLDEN / "pool-rayservice.yaml")


def test_a_pool_keeps_only_voices_that_it_has():
    pool = make_pool(residency={"keep": ["mei", "gone"]}, defaultVoice="gone")
    configs = user_configs(plan_shared(pool, shared_voices("lei", "mei")).service)
    assert configs["Synthesizer"]["residency"]["keep"] == ["mei"]
    assert configs["Synthesizer"]["default"] == configs["Ingress"]["default"] == "lei"


def test_another_voice_changes_nothing_but_the_configurations():
    pool = make_pool()
    one, two = (plan_shared(pool, shared_voices(*names)).service for names in (("mei",), ("lei", "mei")))
    for service in (one, two):
        config = yaml.safe_load(service["spec"].pop("serveConfigV2"))
        for deployment in config["applications"][0]["deployments"]:
            deployment.pop("user_config")
        service["config"] = config
    assert one == two


def test_a_pool_without_voices_has_no_rayservice_and_says_what_to_do():
    result = plan_shared(make_pool(), [], service=make_service(make_replica({})))
    assert result.service is None
    assert result.remove_service
    (ready,) = result.status.conditions
    assert (ready.status, ready.reason) == (State.FALSE, Reason.WAITING)
    assert "spec.serving.poolRef" in ready.message


def test_the_status_counts_voices_replicas_and_memory():
    replicas = (make_replica({"mei": REVISION, "lei": REVISION}), make_replica({"mei": REVISION}, name="b"))
    status = plan_shared(make_pool(), shared_voices("lei", "mei"), service=make_service(*replicas)).status
    assert (status.voices.desired, status.voices.ready, status.voices.resident) == (2, 1, 2)
    assert (status.display.voices, status.display.ready, status.display.memory) == ("1/2", "2/2", "3Mi/1024Mi")
    assert (status.url, status.selector) == (
        "http://shared",
        "kubevoice.io/voicepool=shared,ray.io/node-type=worker",
    )
    assert status.conditions[0].status is State.TRUE


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        ({"serving_missing": "no KubeRay"}, Reason.KUBERAY_NOT_INSTALLED),
        ({"serving_refusal": "refused"}, Reason.REFUSED_BY_API),
        ({"service": ObservedService("hash", error="Ray Serve: it failed")}, Reason.SERVING_FAILED),
        ({}, Reason.ROLLING_OUT),
    ],
)
def test_a_pool_that_does_not_answer_says_why(observed, reason):
    (ready,) = plan_shared(make_pool(), shared_voices("mei"), **observed).status.conditions
    assert (ready.status, ready.reason) == (State.FALSE, reason)


def test_a_suspended_pool_has_no_rayservice():
    pool = make_pool(serving={"suspend": True})
    result = plan_shared(pool, shared_voices("mei"), service=make_service(make_replica({"mei": REVISION})))
    assert result.remove_service
    assert result.status.conditions[0].reason is Reason.SUSPENDED
    assert result.status.replicas.desired == 0


def test_a_pool_is_exposed_under_its_own_name():
    pool = make_pool(serving=replace_expose(host="voices.example"))
    result = plan_shared(pool, shared_voices("mei"), exposure=ObservedExposure())
    (ingress,) = result.expose
    assert ingress["metadata"]["name"] == "shared-pool"
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == "shared-pool-serve-svc"
    assert find_condition(result.status.conditions, ConditionType.EXPOSED)


def replace_expose(host):
    return {"expose": Expose(ingress=IngressRule(host=host)).model_dump(by_alias=True, exclude_none=True)}
