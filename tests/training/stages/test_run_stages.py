"""The three stages as the Jobs run them: real processes, the shipped base voice, a few clips of the example."""

import signal

import pytest
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.resources.voicemodel import EvaluationPolicy


def test_recordings_become_a_voice_that_speaks(make):
    stages = make(8, base="builtin://base")
    (stages.folder / "data" / "lexicon.txt").write_text("您好\tni2 hao3\n", encoding="utf-8")
    metadata = stages.folder / "data" / "metadata.csv"
    rows = metadata.read_text(encoding="utf-8").replace(",happy,", ",开心,").replace(",sad,", ",撒娇,")
    metadata.write_text(rows, encoding="utf-8")
    code, prepared = stages.run("prepare", stages.prepare_spec())
    assert (code, prepared["clips"]) == (0, 18), stages.log("prepare")
    assert set(prepared["perEmotion"]) == {"neutral", "happy", "撒娇"}
    code, trained = stages.run("train", spec := stages.train_spec(prepared))
    assert code == 0, stages.log("train")
    assert stages.run("train", spec) == (0, trained)
    assert "done before" in stages.log("train")
    code, released = stages.run("release", stages.release_spec(prepared, trained))
    assert code == 0, stages.log("release")
    (bundle,) = (stages.folder / "artifacts" / "bundles").iterdir()
    assert released["revision"] == f"sha256:{bundle.name}"
    engine = Engine.load(bundle)
    assert engine.front_end_config.lexicon == {"您好": ("ni2", "hao3")}
    assert len(synthesize_text(engine, "你好。", Controls(emotion="撒娇"))) > 0
    assert (bundle / "samples" / "撒娇.flac").exists()
    audio = synthesize_text(engine, "你好。", Controls(emotion="开心"))
    assert 0.3 < len(audio) / 24_000 < 4
    assert abs(audio).max() > 0.02
    assert {"speakerSimilarity", "naturalness", "naturalnessLoss", "durationError"} <= set(released["metrics"])
    page = bundle / "report.html"
    assert "Reported" in page.read_text(encoding="utf-8")
    made = (bundle / "vocoder.onnx").stat().st_mtime_ns
    spec = stages.release_spec(prepared, trained)
    strict = spec.evaluation.model_copy(update={"policy": EvaluationPolicy.ENFORCE, "max_mel_cepstral_distortion": 0.1})
    code, repeated = stages.run("release", spec.model_copy(update={"evaluation": strict}))
    assert (code, repeated["verdict"], repeated["revision"]) == (0, "Failed", released["revision"])
    assert "maxMelCepstralDistortion allows 0.1" in page.read_text(encoding="utf-8")
    assert (bundle / "vocoder.onnx").stat().st_mtime_ns == made
    assert Engine.load(bundle).revision == released["revision"]


def test_training_that_was_stopped_goes_on_from_its_checkpoint(make, prepared):
    stages = make(40)
    spec = stages.train_spec(prepared)
    process = stages.begin("train", spec)
    stages.until(lambda: stages.latest() >= 8, process)
    process.send_signal(signal.SIGTERM)  # test_finetune.py kills
    assert process.wait(300) == 143
    saved = stages.latest()
    assert 8 <= saved < 40
    code, _ = stages.run("train", spec)
    assert code == 0, stages.log("train")
    assert f"continuing at step {saved} of 40" in stages.log("train")
    assert stages.latest() == 40


def test_bad_input_ends_with_2_and_names_every_row(make):
    stages = make(8)
    for path in sorted((stages.folder / "data" / "wavs").iterdir())[:2]:
        path.unlink()
    code, failure = stages.run("prepare", stages.prepare_spec())
    assert (code, failure["reason"], failure["retryable"]) == (2, "InvalidInput", False)
    assert failure["message"].count("there is no such file") == 2
    assert not (stages.folder / "artifacts").exists()


def test_an_environment_that_makes_no_sense_is_reported(make):
    stages = make(8)
    code, failure = stages.run("train", stages.prepare_spec(), environment={"KUBEVOICE_PROCESSES": "two"})
    assert (code, failure["reason"], failure["retryable"]) == (2, "InvalidInput", False)
    assert "KUBEVOICE_PROCESSES is not an integer: 'two'" in failure["message"]


def test_a_full_disk_is_a_clear_error_and_the_next_try_recovers(make):
    stages = make(8)
    spec = stages.prepare_spec()
    code, failure = stages.finish(stages.begin("prepare", spec, largest_file=100_000), "prepare")
    assert code == 1
    assert "File too large" in failure["message"]
    assert "Traceback" not in failure["message"]
    assert not list(stages.folder.glob("artifacts/prepare/*/features/manifest.json"))
    code, prepared = stages.run("prepare", spec)
    assert (code, prepared["clips"]) == (0, 18), stages.log("prepare")


@pytest.mark.parametrize("prefixes", [[], ["."], ["../x"], ["/"], [""]])
def test_collect_never_deletes_everything_or_elsewhere(make, prefixes):
    stages = make(8)
    (stages.folder / "artifacts" / "bundles").mkdir(parents=True)
    (stages.folder / "artifacts" / "bundles" / "one").touch()
    code, failure = stages.run("collect", stages.collect_spec(prefixes))
    assert (code, failure["reason"], failure["retryable"]) == (2, "InvalidInput", False)
    assert (stages.folder / "artifacts" / "bundles" / "one").exists()


def test_collect_deletes_what_its_spec_names_and_may_be_run_again(make):
    stages = make(8)
    artifacts = stages.folder / "artifacts"
    for key in ("bundles/abc/voice.json", "bundles/abc/sub/x", "bundles/abcd/voice.json", "train/1/latest.json"):
        (artifacts / key).parent.mkdir(parents=True, exist_ok=True)
        (artifacts / key).touch()
    spec = stages.collect_spec(["bundles/abc", "train/1"])
    assert stages.run("collect", spec) == (0, {"deleted": 3})
    assert stages.run("collect", spec) == (0, {"deleted": 0})
    assert [p.relative_to(artifacts).as_posix() for p in artifacts.rglob("*") if p.is_file()] == [
        "bundles/abcd/voice.json"
    ]
