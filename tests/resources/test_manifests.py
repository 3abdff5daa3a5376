"""A file with several manifests."""

import pytest
from kubevoice.errors import InputError
from kubevoice.resources.manifests import load_manifests

VOICE = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: NAME}
spec:
  base: {uri: voices/NAME}
"""
POOL = """
apiVersion: kubevoice.io/v1alpha1
kind: VoicePool
metadata: {name: shared}
spec: {defaultVoice: lei}
"""
CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
"""


def voice(name):
    return VOICE.replace("NAME", name)


def load(folder, *documents):
    path = folder / "voices.yaml"
    path.write_text("---\n".join(documents), encoding="utf-8")
    return load_manifests(path, artifacts=folder / "artifacts")


def test_voicemodels_and_pools_are_read_and_other_objects_are_named(tmp_path):
    manifests = load(tmp_path, CONFIG_MAP, voice("mei"), "", POOL, voice("lei"))
    assert [model.metadata.name for model in manifests.models] == ["mei", "lei"]
    assert [pool.spec.default_voice for pool in manifests.pools] == ["lei"]
    assert manifests.others == ("ConfigMap words",)
    assert manifests.models[1].spec.base.uri == (tmp_path / "voices" / "lei").as_uri()
    assert manifests.models[1].spec.storage.artifacts_uri == (tmp_path / "artifacts").as_uri()


def test_the_items_of_a_list_are_documents(tmp_path):
    items = "".join(
        f"- {line}" if line.startswith("api") else f"  {line}" for line in voice("mei").splitlines(True)[1:]
    )
    manifests = load(tmp_path, f"apiVersion: v1\nkind: List\nitems:\n{items}", voice("lei"))
    assert [model.metadata.name for model in manifests.models] == ["mei", "lei"]


@pytest.mark.parametrize(
    ("documents", "problems"),
    [
        ([voice("mei"), voice("mei")], ["VoiceModel mei is there 2 times; give each its own name"]),
        ([POOL, POOL, voice("mei")], ["VoicePool shared is there 2 times; give each its own name"]),
        ([voice("mei"), "[1]"], ["document 2 is not an object"]),
        ([voice("mei"), "text"], ["document 2 is not an object"]),
        ([voice("mei"), voice("lei").replace("VoiceModel", "Voice")], ["Voice lei is a kubevoice.io/v1alpha1/Voice"]),
        ([voice("mei").replace("v1alpha1", "v2")], ["VoiceModel mei is a kubevoice.io/v2/VoiceModel"]),
        ([voice("mei"), "kind: VoiceModel"], ["document 2 is a None/VoiceModel"]),
        (
            [
                voice("mei").replace("spec:", "spec:\n  bass: {}"),
                POOL.replace("defaultVoice: lei", "residency: {idleSeconds: 0}"),
            ],
            ["VoiceModel mei: spec.bass: unknown field", "VoicePool shared: spec.residency.idleSeconds"],
        ),
    ],
)
def test_every_problem_is_named_with_its_object(tmp_path, documents, problems):
    with pytest.raises(InputError) as caught:
        load(tmp_path, *documents)
    assert len(caught.value.problems) == len(problems)
    assert all(problem in actual for problem, actual in zip(problems, caught.value.problems, strict=True))


@pytest.mark.parametrize("documents", [[], [""], [CONFIG_MAP], [POOL]])
def test_a_file_without_a_voicemodel_is_refused(tmp_path, documents):
    with pytest.raises(InputError, match="has no VoiceModel"):
        load(tmp_path, *documents)


@pytest.mark.parametrize("text", ["a: [", "a: 1\n\tb: 2", "\0"])
def test_what_is_not_yaml_is_refused_with_the_file(tmp_path, text):
    with pytest.raises(InputError, match=r"voices\.yaml is not valid YAML"):
        load(tmp_path, text)
