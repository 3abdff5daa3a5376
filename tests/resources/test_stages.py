"""The key of a stage, which names its Job and its output, depends only on the stage's inputs."""

import re

import pytest
from kubevoice.resources.stages import PrepareSpec, ReleaseSpec, Stage, StageFailure, TrainSpec, spec_key
from kubevoice.resources.voicemodel import BaseVoice, Dataset, Evaluation, StorageSpec, Training
from pydantic import ValidationError

STORAGE = StorageSpec(artifacts_uri="s3://voices")
BASE = BaseVoice(uri="builtin://base")
DIGEST = "sha256:" + "0" * 64


def make_prepare_spec(**changes):
    fields = {"dataset": Dataset(uri="s3://data"), "base": BASE, "storage": STORAGE, "dev_fraction": 0.05, "seed": 0}
    return PrepareSpec(**fields | changes)


def make_specs(training=None, evaluation=None, place="s3://voices", base=BASE, **digests):
    """Return the specs of train and release of one VoiceModel, by stage."""
    features = {"features_uri": f"{place}/features", "features_digest": digests.get("features", DIGEST)}
    train = TrainSpec(**features, base=base, storage=STORAGE, training=training or Training())
    key = spec_key(Stage.TRAIN, train)
    release = ReleaseSpec(
        **features,
        name="mei",
        dataset_digest=digests.get("dataset", DIGEST),
        checkpoint_uri=f"{place}/checkpoints/{key}",
        checkpoint_digest=f"sha256:{4 * key}",
        base=base,
        storage=STORAGE,
        evaluation=evaluation or Evaluation(),
    )
    return {Stage.TRAIN: train, Stage.RELEASE: release}


def compute_keys(**changes):
    return {stage: spec_key(stage, spec) for stage, spec in make_specs(**changes).items()}


def test_a_key_fits_in_names_and_paths():
    assert re.fullmatch("[0-9a-f]{16}", spec_key(Stage.PREPARE, make_prepare_spec()))


def test_equal_specs_have_equal_keys():
    assert spec_key(Stage.PREPARE, make_prepare_spec()) == spec_key(Stage.PREPARE, make_prepare_spec())


def test_the_order_of_fields_does_not_matter():
    first = make_prepare_spec(dataset=Dataset(uri="s3://data", emotions={"a": "happy", "b": "sad"}))
    second = make_prepare_spec(dataset=Dataset(emotions={"b": "sad", "a": "happy"}, uri="s3://data"))
    assert spec_key(Stage.PREPARE, first) == spec_key(Stage.PREPARE, second)


def test_an_explicit_default_does_not_change_the_key():
    assert compute_keys(training=Training(maxSteps=10_000)) == compute_keys()


def test_the_key_does_not_change_when_the_spec_is_sent_to_the_pod():
    spec = make_prepare_spec()
    received = PrepareSpec.model_validate_json(spec.model_dump_json(by_alias=True))
    assert spec_key(Stage.PREPARE, received) == spec_key(Stage.PREPARE, spec)


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "https://elsewhere.example.com"},
        {"region": "cn-north-1"},
        {"pathStyle": True},
        {"secretRef": {"name": "other"}},
        {"caBundleRef": {"configMap": "ca"}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_of_the_storage_do_not_change_the_key(options):
    storage = StorageSpec(artifacts_uri="s3://voices", **options)
    assert spec_key(Stage.PREPARE, make_prepare_spec(storage=storage)) == spec_key(Stage.PREPARE, make_prepare_spec())


@pytest.mark.parametrize(
    "change",
    [
        {"storage": StorageSpec(artifacts_uri="s3://elsewhere")},
        {"seed": 1},
        {"dev_fraction": 0.1},
        {"dataset": Dataset(uri="s3://other")},
        {"dataset": Dataset(uri="s3://data", emotions={"a": "happy"})},
        {"observed": "2026-01-01"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_value_gives_another_key(change):
    assert spec_key(Stage.PREPARE, make_prepare_spec(**change)) != spec_key(Stage.PREPARE, make_prepare_spec())


def test_stages_do_not_share_keys():
    assert spec_key(Stage.PREPARE, make_prepare_spec()) != spec_key(Stage.TRAIN, make_prepare_spec())


def test_another_threshold_repeats_the_release_but_not_the_training():
    before, after = compute_keys(), compute_keys(evaluation=Evaluation(maxPinyinErrorRate=0.2))
    assert after[Stage.TRAIN] == before[Stage.TRAIN]
    assert after[Stage.RELEASE] != before[Stage.RELEASE]


def test_another_learning_rate_trains_and_releases_again():
    before, after = compute_keys(), compute_keys(training=Training(learningRate=1e-4))
    assert after[Stage.TRAIN] != before[Stage.TRAIN]
    assert after[Stage.RELEASE] != before[Stage.RELEASE]


def test_inputs_with_equal_digests_may_be_anywhere():
    assert compute_keys(place="s3://voices/prepare/other") == compute_keys()
    here, there = (BaseVoice(uri=f"s3://{bucket}/base", sha256="a" * 64) for bucket in ("here", "there"))
    assert compute_keys(base=here)[Stage.TRAIN] == compute_keys(base=there)[Stage.TRAIN]
    # The bundle names the place of its base voice.
    assert compute_keys(base=here)[Stage.RELEASE] != compute_keys(base=there)[Stage.RELEASE]


@pytest.mark.parametrize(
    "change",
    [{"features": "sha256:" + "1" * 64}, {"base": BASE.model_copy(update={"sha256": "b" * 64})}],
    ids=["features", "base"],
)
def test_other_contents_train_and_release_again(change):
    before, after = compute_keys(), compute_keys(**change)
    assert after[Stage.TRAIN] != before[Stage.TRAIN]
    assert after[Stage.RELEASE] != before[Stage.RELEASE]


def test_another_dataset_with_equal_features_is_released_again():
    before, after = compute_keys(), compute_keys(dataset="sha256:" + "1" * 64)
    assert after[Stage.TRAIN] == before[Stage.TRAIN]
    assert after[Stage.RELEASE] != before[Stage.RELEASE]


def test_a_failure_fits_in_a_termination_message():
    with pytest.raises(ValidationError):
        StageFailure(reason="InvalidInput", message="x" * 2049)
