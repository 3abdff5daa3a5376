"""The stages with everything in S3, and a server that goes away in the middle of each."""

import pytest
from kubevoice.storage import connect

AWAY_TRIES = 3
"""So many tries of the stage find no server."""


def storage(s3, artifacts="s3://voices/artifacts"):
    return f"{{artifactsUri: {artifacts}, endpoint: '{s3.endpoint}', pathStyle: true}}"


@pytest.fixture
def stages(make, s3, tmp_path):
    """A Runner whose dataset is in S3."""
    bucket = connect("s3://voices", s3.options())
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            bucket.upload(path, path.relative_to(tmp_path).as_posix())
    return make(8, dataset="s3://voices/data", storage=storage(s3))


def through_an_outage(stages, s3, stage, spec, condition):
    """Run a stage whose storage goes away when `condition` holds, and comes back a while after it was missed."""
    process = stages.begin(stage, spec)
    stages.until(condition, process)
    s3.stop()
    stages.until(lambda: stages.log(stage).count("trying again for") > AWAY_TRIES, process)
    s3.start()
    code, result = stages.finish(process, stage)
    assert code == 0, stages.log(stage)
    return result


def test_every_stage_survives_an_outage_of_its_storage(stages, s3):
    prepared = through_an_outage(stages, s3, "prepare", stages.prepare_spec(), lambda: stages.progress("prepare") >= 1)
    assert prepared["clips"] == 18
    trained = through_an_outage(stages, s3, "train", stages.train_spec(prepared), lambda: stages.progress("train") >= 1)
    assert trained["step"] > 0
    spec, bundle = stages.release_spec(prepared, trained), stages.folder / "work-release" / "bundle"
    released = through_an_outage(stages, s3, "release", spec, bundle.is_dir)
    voices = connect("s3://voices/artifacts", s3.options())
    folder = f"bundles/{released['revision'].removeprefix('sha256:')}"
    assert voices.exists(f"{folder}/voice.json")
    voices.write(f"{folder}0/other", b"")
    collected = through_an_outage(stages, s3, "collect", stages.collect_spec([folder]), lambda: True)
    assert collected["deleted"] > 10
    assert [item.key for item in voices.list("bundles/")] == [f"{folder}0/other"]


def test_what_somebody_can_mend_in_the_storage_is_worth_trying_again(stages, make, s3):
    code, failure = stages.run("prepare", stages.prepare_spec(), {"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert (code, failure["reason"], failure["retryable"]) == (1, "StorageError", True)
    assert "secretRef" in failure["message"]
    nowhere = make(8, dataset="s3://voices/data", storage=storage(s3, "s3://nowhere/x"))
    code, failure = nowhere.run("prepare", nowhere.prepare_spec())
    assert (code, failure["reason"], failure["retryable"]) == (1, "StorageError", True)
    assert "bucket nowhere does not exist" in failure["message"]


def test_a_fault_of_the_dataset_is_bad_input(stages, s3):
    connect("s3://voices/data", s3.options()).delete("metadata.csv")
    code, failure = stages.run("prepare", stages.prepare_spec())
    assert (code, failure["reason"], failure["retryable"]) == (2, "InvalidInput", False)
