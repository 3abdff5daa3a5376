"""A base voice is released as it is: checked, measured without recordings, published byte by byte."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from kubevoice.engine import Engine
from kubevoice.errors import InputError
from kubevoice.resources.stages import BaseVoiceReleaseSpec, GateResult, Stage, spec_key
from kubevoice.resources.voicemodel import BaseVoice, Evaluation, StorageSpec
from kubevoice.storage import S3Options, connect
from kubevoice.voice import builtin_voice, load_bundle, seal_bundle
from kubevoice_training.runtime.progress import ProgressFile
from kubevoice_training.runtime.world import World
from kubevoice_training.stages.context import Context
from kubevoice_training.stages.release import release

SHIPPED = builtin_voice("builtin://base")
TIMEOUT_SECONDS = 300


@pytest.fixture
def base(tmp_path):
    """The shipped voice with two of its emotions and without its checkpoint."""
    folder = tmp_path / "base"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("checkpoint", "samples", "voice.json"))
    manifest = load_bundle(SHIPPED, verify=False).manifest
    return seal_bundle(folder, manifest.model_copy(update={"emotions": manifest.emotions[:2]}))


def make_spec(folder, *, sha256=None, **evaluation):
    return BaseVoiceReleaseSpec(
        name="mei",
        base=BaseVoice(uri=(folder / "base").as_uri(), sha256=sha256),
        storage=StorageSpec(artifacts_uri=(folder / "artifacts").as_uri()),
        evaluation=Evaluation(**evaluation),
    )


def run_release(folder, spec):
    """Run the stage in this process."""
    artifacts = connect(spec.storage.artifacts_uri)
    progress = ProgressFile(folder / "work" / "progress.json", Stage.RELEASE)
    key = spec_key(Stage.RELEASE, spec)
    context = Context(
        Stage.RELEASE, key, folder / "work", artifacts, S3Options(), progress, stopping=lambda: False, world=World()
    )
    return release(spec, context)


def run_without_torch(folder, spec):
    """Run the stage as its Job does, where torch cannot be imported."""
    (folder / "blocked").mkdir(exist_ok=True)
    (folder / "blocked" / "torch.py").write_text('raise ImportError("torch is not needed")\n', encoding="utf-8")
    (folder / "spec.json").write_text(spec.model_dump_json(by_alias=True), encoding="utf-8")
    words = ["--spec", "spec.json", "--workdir", "work", "--result", "result.json"]
    completed = subprocess.run(
        [sys.executable, "-m", "kubevoice_training", "release", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "blocked")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return completed, json.loads((folder / "result.json").read_text(encoding="utf-8"))


def list_files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_base_voice_is_published_byte_by_byte_without_torch(base, tmp_path):
    pin = base.digest.removeprefix("sha256:")
    completed, result = run_without_torch(tmp_path, make_spec(tmp_path, sha256=pin, max_real_time_factor=50))
    assert completed.returncode == 0, completed.stderr
    assert (result["revision"], result["verdict"]) == (base.digest, "Passed")
    assert set(result["metrics"]) == {"realTimeFactor"}
    published = list_files(tmp_path / "artifacts" / "bundles" / pin)
    beside = {"manifest.json", "measured.json", "report.html"}
    assert {name: data for name, data in published.items() if name not in beside} == list_files(base.path)
    assert Engine.load(tmp_path / "artifacts" / "bundles" / pin).revision == base.digest
    page = published["report.html"].decode()
    assert page.count("<audio") == 3  # two emotions, and the sentence that is measured
    assert "There are no recordings to compare with" in page
    assert "the features were made before" not in page


def test_another_threshold_measures_nothing_again_and_other_sentences_do(base, tmp_path):
    sentences = ("你好。", "今天天气真好。")
    first = run_release(tmp_path, make_spec(tmp_path, sentences=sentences))
    report = tmp_path / "artifacts" / "bundles" / base.digest.removeprefix("sha256:") / "measured.json"
    measured = report.read_bytes()
    assert [clip["text"] for clip in json.loads(measured)["clips"]] == list(sentences)
    strict = run_release(tmp_path, make_spec(tmp_path, sentences=sentences, max_real_time_factor=1e-6))
    assert (strict.revision, strict.metrics, strict.verdict) == (first.revision, first.metrics, GateResult.FAILED)
    assert report.read_bytes() == measured
    assert run_release(tmp_path, make_spec(tmp_path, sentences=sentences[:1])).revision == first.revision
    assert [clip["text"] for clip in json.loads(report.read_bytes())["clips"]] == ["你好。"]
    # The report beside the bundle is of the release before, so this one measures again.
    run_release(tmp_path, make_spec(tmp_path, sentences=sentences))
    assert [clip["text"] for clip in json.loads(report.read_bytes())["clips"]] == list(sentences)


def remove_all(folder):
    shutil.rmtree(folder)


def name_a_folder_of_something_else(folder):
    (folder / "voice.json").unlink()
    (folder / "config.yaml").write_text("am: {}\n", encoding="utf-8")


def damage_the_manifest(folder):
    (folder / "voice.json").write_text('{"format": 1', encoding="utf-8")


def damage_a_graph(folder):
    data = (folder / "decoder.onnx").read_bytes()
    (folder / "decoder.onnx").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def remove_a_graph_and_a_table(folder):
    (folder / "postnet.onnx").unlink()
    (folder / "units" / "vocab_PinYin.tsv").unlink()


def change_files(folder, changes):
    manifest = json.loads((folder / "voice.json").read_text(encoding="utf-8"))
    manifest["files"] |= changes
    (folder / "voice.json").write_text(json.dumps(manifest), encoding="utf-8")


def name_a_file_outside(folder):
    change_files(folder, {"../../secret": "0" * 64})


def name_a_file_of_the_report(folder):
    change_files(folder, {"report.html": "0" * 64})


def list_no_vocoder(folder):
    manifest = load_bundle(folder).manifest
    (folder / "vocoder.onnx").unlink()
    seal_bundle(folder, manifest)


def release_a_graph_that_is_none(folder):
    manifest = load_bundle(folder).manifest
    (folder / "vocoder.onnx").write_bytes(b"not a graph")
    seal_bundle(folder, manifest)


def swap_two_graphs(folder):
    manifest = load_bundle(folder).manifest
    shutil.copyfile(folder / "postnet.onnx", folder / "encoder.onnx")
    seal_bundle(folder, manifest)


@pytest.mark.parametrize(
    ("fault", "message", "problems"),
    [
        (remove_all, "has no voice.json; name a voice bundle", []),
        (name_a_folder_of_something_else, "kubevoice voice import", []),
        (damage_the_manifest, "voice.json of", []),
        (damage_a_graph, "is damaged; fetch the base voice again", ["decoder.onnx: content differs from its digest"]),
        (
            remove_a_graph_and_a_table,
            "is damaged; fetch the base voice again",
            ["postnet.onnx: missing", "units/vocab_PinYin.tsv: missing"],
        ),
        (name_a_file_outside, "is damaged", ["'../../secret' is not a path inside the storage"]),
        (name_a_file_of_the_report, "is damaged", ["report.html: no file of a bundle may have this name"]),
        (list_no_vocoder, "is damaged", ["vocoder.onnx: not listed in voice.json"]),
        (release_a_graph_that_is_none, "cannot be synthesized with", []),
        (swap_two_graphs, "cannot be synthesized with", []),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_base_that_cannot_be_served_is_refused_with_the_reason(base, tmp_path, fault, message, problems):
    (tmp_path / "secret").write_text("not for others", encoding="utf-8")
    fault(base.path)
    with pytest.raises(InputError) as error:
        run_release(tmp_path, make_spec(tmp_path))
    assert message in str(error.value)
    assert base.path.as_uri() in str(error.value)
    assert len(error.value.problems) == len(problems)
    assert all(each.startswith(start) for each, start in zip(error.value.problems, problems, strict=True))
    assert not (tmp_path / "artifacts" / "bundles").exists()


def test_a_base_that_is_not_the_pinned_one_ends_with_2_and_both_digests(base, tmp_path):
    completed, failure = run_without_torch(tmp_path, make_spec(tmp_path, sha256="0" * 64))
    assert (completed.returncode, failure["reason"], failure["retryable"]) == (2, "InvalidInput", False)
    assert base.digest.removeprefix("sha256:") in failure["message"]
    assert "expected " + "0" * 64 in failure["message"]
    assert "spec.base.sha256" in failure["message"]
