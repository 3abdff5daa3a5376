"""Several VoiceModels that one Ray on this machine serves: their pool, and what is kept of them."""

import pytest
from kubevoice.errors import InputError
from kubevoice.resources.manifests import Manifests
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice.resources.voicepool import VoicePool
from kubevoice_operator.local.local_pool import choose_group, set_pool
from kubevoice_operator.local.state import LocalState

AUTH = "{expose: {auth: {secretRef: {name: tokens}}}, maxReplicas: 3}"


def voice(name, serving="{}"):
    return load_voicemodel(
        f"{{apiVersion: kubevoice.io/v1alpha1, kind: VoiceModel, metadata: {{name: {name}}}, "
        f"spec: {{base: {{uri: builtin://base}}, storage: {{artifactsUri: s3://voices/all}}, serving: {serving}}}}}"
    )


def make_pool(name, **spec):
    return VoicePool.model_validate({"metadata": {"name": name}, "spec": spec})


def test_one_voicemodel_is_served_alone():
    assert choose_group(Manifests((voice("mei"),))) is None


def test_without_a_pool_the_settings_of_the_first_voicemodel_hold():
    group = choose_group(Manifests((voice("mei", AUTH), voice("lei", "{suspend: true}"))))
    assert group.pool.spec.default_voice == "mei"
    assert group.pool.spec.serving.max_replicas == 3
    assert group.pool.spec.serving.expose.auth.secret_ref.name == "tokens"
    assert group.pool.spec.serving.suspend is False
    assert not choose_group(Manifests((voice("mei", "{suspend: true}"), voice("lei")))).pool.spec.serving.suspend


def test_the_first_pool_of_the_file_holds_for_all():
    pools = (make_pool("shared", serving={"maxReplicas": 5}), make_pool("other"))
    group = choose_group(Manifests((voice("mei"), voice("lei", "{poolRef: {name: other, maxStreams: 3}}")), pools))
    assert group.pool.spec.serving.max_replicas == 5
    members = [set_pool(model, group.pool).spec.serving.pool_ref for model in group.models]
    assert [(ref.name, ref.max_streams) for ref in members] == [("shared", 8), ("shared", 3)]
    assert choose_group(Manifests((voice("mei"),), pools)).pool.metadata.name == "shared"


@pytest.mark.parametrize("pools", [(), (make_pool("shared"),)])
def test_voices_with_keys_are_not_served_without(pools):
    with pytest.raises(InputError) as caught:
        choose_group(Manifests((voice("lei"), voice("mei", AUTH)), pools))
    (problem,) = caught.value.problems
    assert "VoiceModel mei has a serving.expose.auth" in problem


def test_a_group_is_kept_until_a_voicemodel_is_brought_up_alone(tmp_path):
    state, models = LocalState(tmp_path), (voice("mei"), voice("lei"))
    state.save(models, make_pool("shared", defaultVoice="lei"))
    assert state.model("mei") == models[0]
    assert state.group("lei").models == models
    assert state.group("lei").pool.spec.default_voice == "lei"
    state.save([models[0]])
    assert state.group("mei") is None
    with pytest.raises(InputError, match="there is no VoiceModel 'lisa' here"):
        state.model("lisa")
