"""A release reuses the bundle of an earlier one only if all that goes into the bundle is the same."""

import json
import shutil

import pytest
from kubevoice.resources.stages import ReleaseSpec
from kubevoice.resources.voicemodel import BaseVoice, Evaluation, StorageSpec
from kubevoice.storage import S3Options
from kubevoice.voice import builtin_voice
from kubevoice_training.stages.release import name_candidate

DIGEST, OTHER = "sha256:" + "0" * 64, "sha256:" + "1" * 64


def make_spec(**changes):
    fields = {
        "name": "mei",
        "features_uri": "s3://voices/features",
        "features_digest": DIGEST,
        "dataset_digest": DIGEST,
        "checkpoint_uri": "s3://voices/checkpoint",
        "checkpoint_digest": DIGEST,
        "base": BaseVoice(uri="builtin://base"),
        "storage": StorageSpec(artifacts_uri="s3://voices"),
        "evaluation": Evaluation(),
    }
    return ReleaseSpec(**fields | changes)


def test_another_threshold_needs_no_other_bundle():
    strict = make_spec(evaluation=Evaluation(max_pinyin_error_rate=0.1))
    assert name_candidate(strict, S3Options()) == name_candidate(make_spec(), S3Options())


@pytest.mark.parametrize("field", ["dataset_digest", "features_digest", "checkpoint_digest"])
def test_another_input_needs_another_bundle(field):
    assert name_candidate(make_spec(**{field: OTHER}), S3Options()) != name_candidate(make_spec(), S3Options())


def test_another_base_voice_in_the_same_place_needs_another_bundle(tmp_path):
    shutil.copyfile(builtin_voice("builtin://base") / "voice.json", tmp_path / "voice.json")
    spec = make_spec(base=BaseVoice(uri=tmp_path.as_uri()))
    before = name_candidate(spec, S3Options())
    manifest = json.loads((tmp_path / "voice.json").read_text(encoding="utf-8"))
    (tmp_path / "voice.json").write_text(json.dumps(manifest | {"attribution": ["someone"]}), encoding="utf-8")
    assert name_candidate(spec, S3Options()) != before
