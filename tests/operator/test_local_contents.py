"""Contents decide which stages run again: on disk and on a real S3 server, with the stages as processes."""

import os
import shutil

import pytest
from example_dataset import link_dataset
from kubevoice.errors import InputError
from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice.storage import connect
from kubevoice_operator.local.backend import LocalBackend, UpCallbacks
from kubevoice_operator.local.contents import hash_inputs
from ports import free_port
from s3_server import s3_server

MODEL = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {{name: mei}}
spec:
  base: {{uri: {base}}}
  dataset: {{uri: {dataset}}}
  storage: {storage}
  training: {{maxSteps: 1, batchSize: 4, saveEvery: 1, devFraction: 0}}
"""
SHIPPED = "builtin://base"


class StoppedError(Exception):
    """Ends `up` before a stage."""


@pytest.fixture
def data(tmp_path):
    """A dataset of six clips."""
    link_dataset(tmp_path / "data", 6)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A running S3 server."""
    with s3_server(tmp_path_factory.mktemp("s3") / "root") as server:
        yield server


def load_model(tmp_path, dataset, storage=None, base=SHIPPED):
    storage = storage or f"{{artifactsUri: {(tmp_path / 'artifacts').as_uri()}}}"
    return load_voicemodel(
        MODEL.format(base=base, dataset=dataset, storage=storage), artifacts=tmp_path / "home" / "artifacts"
    )


def test_without_a_dataset_the_contents_are_those_of_the_base_voice(tmp_path):
    text = MODEL.format(base="base/", dataset="data/", storage="{}").replace("  dataset: {uri: data/}\n", "")
    text = text.partition("  training:")[0].replace("storage: {}", "storage: {artifactsUri: artifacts/}")
    (tmp_path / "voice.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "base").mkdir()
    model, digests = load_voicemodel(tmp_path / "voice.yaml"), []
    for manifest in ("{}", "{}", '{"format": 1}'):
        (tmp_path / "base" / "voice.json").write_text(manifest, encoding="utf-8")
        digests.append(hash_inputs(model, tmp_path / "digests"))
    assert digests[0] == digests[1] != digests[2]


def correct_text(text):
    """Replace one character by another with as many bytes."""
    assert "一" in text
    return text.replace("一", "二", 1)


def bring_up(tmp_path, model, last=Stage.RELEASE):
    """Return the stages that `up` starts before `last`, at which it is stopped."""
    started = []

    def begin(stage):
        if stage is last:
            raise StoppedError
        started.append(stage)

    with pytest.raises(StoppedError):
        LocalBackend(tmp_path / "home", free_port()).up(model, UpCallbacks(stage_started=begin))
    return started


@pytest.mark.slow
def test_files_that_are_touched_copied_or_edited_back_repeat_no_stage(tmp_path, data):
    model = load_model(tmp_path, data.as_uri())
    assert bring_up(tmp_path, model) == [Stage.PREPARE, Stage.TRAIN]
    for path in data.rglob("*.*"):
        os.utime(path, (1, 1))
    assert bring_up(tmp_path, model) == []
    shutil.copytree(data, tmp_path / "unzipped")
    elsewhere = load_model(tmp_path, (tmp_path / "unzipped").as_uri())
    assert bring_up(tmp_path, elsewhere) == [Stage.PREPARE]
    (log,) = (log for log in tmp_path.glob("home/jobs/mei-prepare-*/log") if "same contents" in log.read_text())
    assert "reusing" in log.read_text()
    metadata = data / "metadata.csv"
    original = metadata.read_bytes()
    metadata.write_bytes(b"".join(original.splitlines(keepends=True)[:-1]))
    assert hash_inputs(model, tmp_path / "digests") != hash_inputs(elsewhere, tmp_path / "digests")
    metadata.write_bytes(original)
    assert bring_up(tmp_path, model) == []


def test_a_corrected_text_of_equal_length_is_seen_on_disk(tmp_path, data):
    model, metadata = load_model(tmp_path, data.as_uri()), data / "metadata.csv"
    metadata.write_text("id,text\na,一帆风顺\n", encoding="utf-8")
    before, stat = hash_inputs(model, tmp_path / "digests"), metadata.stat()
    metadata.write_text(correct_text(metadata.read_text(encoding="utf-8")), encoding="utf-8")
    os.utime(metadata, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert metadata.stat().st_size == stat.st_size
    assert hash_inputs(model, tmp_path / "digests") != before


def test_a_corrected_text_of_equal_length_is_seen_on_s3(tmp_path, s3):
    storage = f"{{artifactsUri: s3://voices/a, endpoint: '{s3.endpoint}', pathStyle: true}}"
    model = load_model(tmp_path, "s3://voices/idioms", storage)
    bucket = connect("s3://voices/idioms", s3.options())
    text = "id,text,emotion,wav_path\na,一帆风顺,neutral,a.wav\n"
    bucket.write("metadata.csv", text.encode())
    before = hash_inputs(model, tmp_path / "digests")
    bucket.write("metadata.csv", correct_text(text).encode())
    assert hash_inputs(model, tmp_path / "digests") != before
    bucket.write("metadata.csv", text.encode())
    assert hash_inputs(model, tmp_path / "digests") == before


def test_a_dataset_on_s3_is_prepared_into_artifacts_on_this_machine(tmp_path, data, s3):
    bucket = connect("s3://voices/recordings", s3.options())
    for path in data.rglob("*.*"):
        bucket.upload(path, path.relative_to(data).as_posix())
    storage = f"{{endpoint: '{s3.endpoint}', pathStyle: true}}"
    model = load_model(tmp_path, "s3://voices/recordings", storage)
    assert bring_up(tmp_path, model, Stage.TRAIN) == [Stage.PREPARE]
    assert list(tmp_path.glob("home/artifacts/default/mei/prepare/*/features/manifest.json"))
    assert {path.name for path in tmp_path.glob("home/jobs/*/workspace/*")} == {"progress.json"}


def test_a_stage_that_failed_leaves_nothing_in_its_scratch_folder(tmp_path, data):
    next(data.rglob("*.flac")).unlink()
    with pytest.raises(InputError):
        LocalBackend(tmp_path / "home", free_port()).up(load_model(tmp_path, data.as_uri()), UpCallbacks())
    assert list(tmp_path.glob("home/jobs/*/log"))
    assert {path.name for path in tmp_path.glob("home/jobs/*/workspace/*")} <= {"progress.json"}


def test_another_base_voice_in_the_same_place_is_seen(tmp_path, data):
    base = tmp_path / "base"
    base.mkdir()
    (base / "voice.json").write_text('{"name": "one"}', encoding="utf-8")
    model = load_model(tmp_path, data.as_uri(), base=base.as_uri())
    before = hash_inputs(model, tmp_path / "digests")
    (base / "voice.json").write_text('{"name": "two"}', encoding="utf-8")
    assert hash_inputs(model, tmp_path / "digests") != before
