"""Jobs and outputs are named by what goes into a stage, and by nothing else."""

import re

import pytest
from kubevoice.resources.stages import PrepareSpec, ReleaseSpec, Stage, StageFailure, TrainSpec, spec_key
from kubevoice.resources.voicemodel import BaseVoice, Dataset, Evaluation, StorageSpec, Training
from pydantic import ValidationError

STORAGE = StorageSpec(artifacts_uri="s3://voices")
BASE = BaseVoice(uri="builtin://base")
DIGEST = "sha256:" + "0" * 64


def prepare(**changes):
    given = {"dataset": Dataset(uri="s3://data"), "base": BASE, "storage": STORAGE, "dev_fraction": 0.05, "seed": 0}
    return PrepareSpec(**given | changes)


def stage_specs(training=None, evaluation=None):
    """The specs of train and release of one VoiceModel."""
    features = {"features_uri": "s3://voices/features", "features_digest": DIGEST}
    train = TrainSpec(**features, base=BASE, storage=STORAGE, training=training or Training())
    release = ReleaseSpec(
        **features,
        name="mei",
        dataset_digest=DIGEST,
        checkpoint_uri=f"s3://voices/checkpoints/{spec_key(Stage.TRAIN, train)}",
        checkpoint_digest=DIGEST,
        base=BASE,
        storage=STORAGE,
        evaluation=evaluation or Evaluation(),
    )
    return {Stage.TRAIN: train, Stage.RELEASE: release}


def keys(**changes):
    return {stage: spec_key(stage, spec) for stage, spec in stage_specs(**changes).items()}


def test_a_key_fits_in_names_and_paths():
    assert re.fullmatch("[0-9a-f]{16}", spec_key(Stage.PREPARE, prepare()))


def test_equal_specs_have_equal_keys():
    assert spec_key(Stage.PREPARE, prepare()) == spec_key(Stage.PREPARE, prepare())


def test_the_order_of_fields_does_not_matter():
    one = prepare(dataset=Dataset(uri="s3://data", emotions={"a": "happy", "b": "sad"}))
    other = prepare(dataset=Dataset(emotions={"b": "sad", "a": "happy"}, uri="s3://data"))
    assert spec_key(Stage.PREPARE, one) == spec_key(Stage.PREPARE, other)


def test_writing_out_a_default_changes_nothing():
    assert keys(training=Training(maxSteps=10_000)) == keys()


def test_a_spec_keeps_its_key_on_the_way_to_the_pod():
    spec = prepare()
    arrived = PrepareSpec.model_validate_json(spec.model_dump_json(by_alias=True))
    assert spec_key(Stage.PREPARE, arrived) == spec_key(Stage.PREPARE, spec)


@pytest.mark.parametrize(
    "how",
    [
        {"endpoint": "https://elsewhere.example.com"},
        {"region": "cn-north-1"},
        {"pathStyle": True},
        {"secretRef": {"name": "other"}},
        {"caBundleRef": {"configMap": "ca"}},
    ],
    ids=lambda how: next(iter(how)),
)
def test_how_the_storage_is_reached_is_no_input(how):
    storage = StorageSpec(artifacts_uri="s3://voices", **how)
    assert spec_key(Stage.PREPARE, prepare(storage=storage)) == spec_key(Stage.PREPARE, prepare())


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
    assert spec_key(Stage.PREPARE, prepare(**change)) != spec_key(Stage.PREPARE, prepare())


def test_stages_do_not_share_keys():
    assert spec_key(Stage.PREPARE, prepare()) != spec_key(Stage.TRAIN, prepare())


def test_another_threshold_repeats_the_release_but_not_the_training():
    before, after = keys(), keys(evaluation=Evaluation(maxPinyinErrorRate=0.2))
    assert after[Stage.TRAIN] == before[Stage.TRAIN]
    assert after[Stage.RELEASE] != before[Stage.RELEASE]


def test_another_learning_rate_trains_and_releases_again():
    before, after = keys(), keys(training=Training(learningRate=1e-4))
    assert after[Stage.TRAIN] != before[Stage.TRAIN]
    assert after[Stage.RELEASE] != before[Stage.RELEASE]


def test_a_failure_fits_in_a_termination_message():
    with pytest.raises(ValidationError):
        StageFailure(reason="InvalidInput", message="x" * 2049)
