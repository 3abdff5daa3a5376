"""A VoiceModel file is read completely, or refused with every problem and its field."""

from pathlib import Path

import pytest
import yaml
from kubevoice.errors import InputError
from kubevoice.resources.voicemodel import DeletionPolicy, EvaluationPolicy, load_voicemodel

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def render_document(**spec):
    """Return YAML of a small valid VoiceModel; keywords replace parts of its spec."""
    parts = {
        "base": {"uri": "builtin://base"},
        "dataset": {"uri": "s3://data/set"},
        "storage": {"artifactsUri": "s3://voices"},
    }
    return yaml.safe_dump(
        {
            "apiVersion": "kubevoice.io/v1alpha1",
            "kind": "VoiceModel",
            "metadata": {"name": "mei"},
            "spec": {name: part for name, part in (parts | spec).items() if part is not None},
        }
    )


def load_invalid(source, **options):
    """Load a VoiceModel that is invalid, and return the InputError."""
    with pytest.raises(InputError) as error:
        load_voicemodel(source, **options)
    assert "\n" not in str(error.value)
    return error.value


def test_the_cluster_example_is_read_field_by_field():
    model = load_voicemodel(EXAMPLES / "gpu.yaml")
    assert (model.metadata.name, model.metadata.namespace) == ("mei", "voices")
    storage = model.spec.storage
    assert (storage.endpoint, storage.path_style) == ("http://minio.storage.svc:9000", True)
    assert storage.secret_ref.name == "s3"
    assert model.spec.training.max_steps == 10_000
    assert model.spec.training.learning_rate == 2e-5
    assert model.spec.training.trainable == ("all",)
    assert model.spec.training.resources["requests"] == {"cpu": "4", "memory": "16Gi"}
    assert model.spec.evaluation.policy is EvaluationPolicy.ENFORCE
    assert model.spec.serving.max_replicas == 8


def test_the_demo_example_needs_a_folder_for_artifacts(tmp_path):
    model = load_voicemodel(EXAMPLES / "hsk-words.yaml", artifacts=tmp_path)
    assert model.spec.storage.artifacts_uri == tmp_path.as_uri()
    assert load_invalid(EXAMPLES / "hsk-words.yaml").problems == ("spec.storage: field required",)


def test_a_voice_of_three_lines_serves_its_base():
    spec = load_voicemodel(render_document(dataset=None)).spec
    assert (spec.base.uri, spec.dataset, spec.storage.artifacts_uri) == ("builtin://base", None, "s3://voices")


def test_what_its_release_reads_may_be_set_without_a_dataset():
    text = render_document(
        dataset=None,
        # What has its default is as if it were not there: the API server fills it in before it checks.
        training={"queueName": "q", "image": "i", "backoffLimit": 1, "suspend": True, "maxSteps": 10_000},
        evaluation={"maxRealTimeFactor": 1, "maxPinyinErrorRate": 0.1, "sentences": ["你好"]},
    )
    assert load_voicemodel(text).spec.evaluation.sentences == ("你好",)


def test_fields_have_safe_defaults():
    spec = load_voicemodel(render_document()).spec
    assert spec.deletion_policy is DeletionPolicy.RETAIN
    assert spec.evaluation.policy is EvaluationPolicy.ENFORCE
    assert spec.training.active_deadline_seconds == 86_400
    assert spec.serving.min_replicas == 1


def test_a_plain_path_is_relative_to_the_file(tmp_path):
    folder = tmp_path / "语音 models"
    folder.mkdir()
    path = folder / "voice.yaml"
    path.write_text(
        render_document(base={"uri": "../base"}, dataset={"uri": "data"}, storage={"artifactsUri": "/var/out"}),
        encoding="utf-8",
    )
    spec = load_voicemodel(path).spec
    assert spec.dataset.uri == (folder / "data").as_uri()
    assert spec.base.uri.startswith("file:///")
    assert spec.base.uri.endswith("/base")
    assert spec.storage.artifacts_uri == "file:///var/out"


def test_uris_stay_as_they_are():
    spec = load_voicemodel(render_document(base={"uri": "file:///voices/base"})).spec
    assert (spec.base.uri, spec.dataset.uri) == ("file:///voices/base", "s3://data/set")


def test_an_unknown_field_is_named_with_its_place():
    error = load_invalid(render_document(training={"maxStep": 5}))
    assert len(error.problems) == 1
    assert error.problems[0].startswith("spec.training.maxStep: unknown field")


def test_every_fault_is_listed_with_its_place_and_value():
    text = render_document(
        base={},
        training={"maxSteps": 0, "schedule": "Linear", "batchSize": "many"},
        serving={"replica": {"memory": "two"}},
        storage={"artifactsUri": "s3://voices", "endpoint": "minio:9000"},
        colour="red",
    )
    problems = dict(problem.split(": ", 1) for problem in load_invalid(text).problems)
    assert set(problems) == {
        "spec.base.uri",
        "spec.training.maxSteps",
        "spec.training.schedule",
        "spec.training.batchSize",
        "spec.serving.replica.memory",
        "spec.storage.endpoint",
        "spec.colour",
    }
    assert problems["spec.training.maxSteps"].endswith("not 0")
    assert "'Cosine' or 'Constant'" in problems["spec.training.schedule"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"training": {"warmupSteps": 11, "maxSteps": 10}}, "spec.training"),
        ({"training": {"nodes": 2, "gpusPerNode": 0}}, "spec.training"),
        ({"serving": {"minReplicas": 3, "maxReplicas": 2}}, "spec.serving"),
        ({"serving": {"rollout": {"strategy": "Canary"}}}, "spec.serving.rollout"),
        ({"serving": {"rollout": {"steps": [{"weight": 5}]}}}, "spec.serving.rollout"),
        (
            {"serving": {"rollout": {"strategy": "Canary", "steps": [{"weight": 5}, {"weight": 5}]}}},
            "spec.serving.rollout",
        ),
        (
            {
                "serving": {
                    "expose": {"ingress": {"host": "a.example"}, "httpRoute": {"parentRefs": [{"name": "public"}]}}
                }
            },
            "spec.serving.expose",
        ),
        ({"serving": {"expose": {"corsOrigins": ["*", "https://a.example"]}}}, "spec.serving.expose"),
        ({"storage": {"artifactsUri": "gs://voices"}}, "spec.storage"),
        ({"dataset": {"uri": "https://host/data"}}, "spec"),
        ({"base": {"uri": "modelscope://x"}}, "spec"),
        ({"dataset": None, "training": {"maxSteps": 5}}, "spec"),
        ({"dataset": None, "training": {"trainable": ["all"]}}, "spec"),
        ({"dataset": None, "training": {"earlyStopPatience": 5}}, "spec"),
        ({"dataset": None, "training": {"learningRate": 1e-4}}, "spec"),
        ({"dataset": None, "training": {"vocoder": {"mode": "FineTune"}}}, "spec"),
        ({"dataset": None, "training": {"gpusPerNode": 0}}, "spec"),
        ({"dataset": None, "training": {"resources": {"limits": {"cpu": 1}}}}, "spec"),
        ({"dataset": None, "evaluation": {"minSpeakerSimilarity": 0.5}}, "spec"),
        ({"dataset": None, "evaluation": {"maxMelCepstralDistortion": 9}}, "spec"),
        ({"dataset": None, "evaluation": {"maxF0Rmse": 9}}, "spec"),
        ({"dataset": None, "evaluation": {"maxNaturalnessLoss": 1}}, "spec"),
        ({"dataset": None, "evaluation": {"maxPinyinErrorRate": 0.1}}, "spec"),
    ],
)
def test_rules_between_fields_hold_on_one_machine_too(spec, field):
    (problem,) = load_invalid(render_document(**spec)).problems
    assert problem.startswith(f"{field}: ")


@pytest.mark.parametrize(
    "expose",
    [
        {"corsOrigins": ["https://a.example/"]},  # a browser never sends a path, so it would never match
        {"corsOrigins": ["https://A.example"]},
        {"corsOrigins": ["a.example"]},
        {"corsOrigins": ["null"]},
        {"corsOrigins": ["https://*.example"]},
        {"requestsPerMinute": 0},
        {"ingress": {}},
        {"ingress": {"host": "https://mei.example"}},
        {"ingress": {"host": "*.example"}},
        {"ingress": {"host": "mei.example", "annotations": {"size": 8}}},
        {"ingress": {"host": "mei.example", "tls": True}},
        {"httpRoute": {"parentRefs": []}},
        {"httpRoute": {"hostnames": ["mei.example"]}},
        {"httpRoute": {"parentRefs": [{"name": "public"}], "hostnames": ["Mei.example"]}},
        {"auth": {"secretRef": {"name": "tokens"}, "key": "../keys"}},
        {"auth": {"secretRef": {"name": "tokens"}, "key": ".."}},
    ],
)
def test_access_rules_that_cannot_work_are_refused(expose):
    (problem,) = load_invalid(render_document(serving={"expose": expose})).problems
    assert problem.startswith("spec.serving.expose.")


def test_valid_access_rules_are_accepted():
    sites = ["http://localhost:3000", "https://app.example.com"]
    text = render_document(serving={"expose": {"auth": {"secretRef": {"name": "t"}}, "corsOrigins": sites}})
    expose = load_voicemodel(text).spec.serving.expose
    assert (expose.auth.key, expose.cors_origins) == ("keys", tuple(sites))


@pytest.mark.parametrize("name", ["", "Mei", "1st", "mei-", "m" * 41, "mei_mei", "../mei"])
def test_a_name_kubernetes_would_refuse_is_refused(name):
    text = render_document().replace("name: mei", f"name: {name!r}")
    assert [problem.split(":")[0] for problem in load_invalid(text).problems] == ["metadata.name"]


def test_the_longest_name_is_accepted():
    assert load_voicemodel(render_document().replace("name: mei", f"name: {'m' * 40}")).metadata.name == "m" * 40


@pytest.mark.parametrize("text", ["a: [", "\tx: 1", "key: : :"])
def test_invalid_yaml_is_named(text):
    assert "is not valid YAML" in str(load_invalid(text))


def test_yaml_tags_create_no_objects(tmp_path):
    assert "is not valid YAML" in str(load_invalid(f"!!python/object/apply:os.mkdir ['{tmp_path}/created']"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("---\n---\n", 0), (render_document() + "---\n" + render_document(), 2), ("- 1\n", 1)]
)
def test_a_file_holds_exactly_one_voicemodel(text, count):
    message = str(load_invalid(text))
    assert "exactly one VoiceModel" in message or f"{count} YAML documents" in message


def test_empty_documents_do_not_count():
    assert load_voicemodel("---\n" + render_document() + "---\n").metadata.name == "mei"


@pytest.mark.parametrize(
    ("old", "new"),
    [("kind: VoiceModel", "kind: Deployment"), ("v1alpha1", "v2"), ("kind: VoiceModel\n", "")],
)
def test_another_kind_is_refused_by_its_name(old, new):
    message = str(load_invalid(render_document().replace(old, new)))
    assert "expected kubevoice.io/v1alpha1/VoiceModel" in message


def test_a_missing_file_is_named(tmp_path):
    assert str(tmp_path / "none.yaml") in str(load_invalid(tmp_path / "none.yaml"))


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "voice.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "cannot read" in str(load_invalid(tmp_path / "voice.yaml"))


@pytest.mark.parametrize("spec", ["spec: 3", "spec: null", "spec: []"])
def test_a_spec_that_is_no_mapping_is_refused(spec):
    text = f"apiVersion: kubevoice.io/v1alpha1\nkind: VoiceModel\nmetadata: {{name: mei}}\n{spec}\n"
    assert [problem.split(":")[0] for problem in load_invalid(text).problems] == ["spec"]


@pytest.mark.parametrize(
    ("training", "field"),
    [
        ({"nodeSelector": {"a b": "c"}}, "nodeSelector"),
        ({"nodeSelector": {"/pool": "c"}}, "nodeSelector"),
        ({"resources": {"limit": {"memory": "4Gi"}}}, "resources"),
        ({"resources": {"limits": {"mem ory": "4Gi"}}}, "resources.limits"),
        ({"resources": {"limits": {"cpu": 0}}}, "resources.limits.cpu"),
        ({"resources": {"limits": {"memory": "4 Gi"}}}, "resources.limits.memory"),
    ],
)
def test_what_a_pod_cannot_have_is_refused_by_its_field(training, field):
    assert any(
        f"spec.training.{field}" in problem for problem in load_invalid(render_document(training=training)).problems
    )
