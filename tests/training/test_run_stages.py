"""The three stages as the Jobs run them: real processes, the shipped base voice, a few clips of the example."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kubevoice.engine import Controls, Engine, read_aloud
from kubevoice.resources.stages import PrepareResult, PrepareSpec, ReleaseSpec, TrainResult, TrainSpec
from kubevoice.resources.voicemodel import load_voicemodel

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "hsk-words"
SPEC = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {{name: mei}}
spec:
  base: {{uri: builtin://base}}
  dataset: {{uri: data/}}
  storage: {{artifactsUri: artifacts/}}
  training: {{maxSteps: {steps}, batchSize: 4, saveEvery: 4, devFraction: 0.2, learningRate: 1.0e-4}}
  evaluation: {{policy: Report}}
"""


class Runner:
    """Stages below one folder."""

    def __init__(self, folder, steps):
        path = folder / "voice.yaml"
        path.write_text(SPEC.format(steps=steps), encoding="utf-8")
        self.folder, self.spec = folder, load_voicemodel(path).spec

    def begin(self, stage, spec, largest_file=None):
        (self.folder / f"{stage}.json").write_text(spec.model_dump_json(by_alias=True), encoding="utf-8")
        # A limit on the size of files is answered by the kernel much as a full disk.
        limit = ["prlimit", f"--fsize={largest_file}"] if largest_file else []
        words = ["--spec", f"{stage}.json", "--workdir", f"work-{stage}", "--result", f"{stage}.result"]
        with (self.folder / f"{stage}.log").open("ab") as log:
            return subprocess.Popen(
                [*limit, sys.executable, "-m", "kubevoice_training", stage, *words],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def finish(self, process, stage):
        code = process.wait(300)
        return code, json.loads((self.folder / f"{stage}.result").read_text(encoding="utf-8"))

    def run(self, stage, spec):
        return self.finish(self.begin(stage, spec), stage)

    def log(self, stage):
        return (self.folder / f"{stage}.log").read_text(encoding="utf-8")

    def prepare_spec(self):
        return PrepareSpec(dataset=self.spec.dataset, storage=self.spec.storage, dev_fraction=0.2, seed=0)

    def train_spec(self, prepared):
        found = PrepareResult.model_validate(prepared)
        return TrainSpec(
            features_uri=found.features_uri,
            features_digest=found.features_digest,
            base=self.spec.base,
            storage=self.spec.storage,
            training=self.spec.training,
        )

    def latest(self):
        """Step of the newest checkpoint."""
        found = list((self.folder / "artifacts").glob("train/*/steps/latest.json"))
        return json.loads(found[0].read_text())["step"] if found else 0


@pytest.fixture
def make(tmp_path):
    """Make a Runner whose dataset is a part of the example's."""
    (tmp_path / "data").mkdir()
    with (EXAMPLE / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:18]
    with (tmp_path / "data" / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "data" / "wavs").mkdir()
    for row in rows:
        os.link(EXAMPLE / row["wav_path"], tmp_path / "data" / row["wav_path"])
    return lambda steps: Runner(tmp_path, steps)


def until(condition, process):
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, "the stage ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_recordings_become_a_voice_that_speaks(make):
    stages = make(8)
    code, prepared = stages.run("prepare", stages.prepare_spec())
    assert (code, prepared["clips"]) == (0, 18), stages.log("prepare")
    code, trained = stages.run("train", spec := stages.train_spec(prepared))
    assert code == 0, stages.log("train")
    assert stages.run("train", spec) == (0, trained)
    assert "done before" in stages.log("train")
    found = TrainResult.model_validate(trained)
    code, released = stages.run(
        "release",
        ReleaseSpec(
            name="mei",
            features_uri=spec.features_uri,
            features_digest=spec.features_digest,
            dataset_digest=prepared["datasetDigest"],
            checkpoint_uri=found.checkpoint_uri,
            checkpoint_digest=found.checkpoint_digest,
            base=spec.base,
            storage=spec.storage,
            evaluation=stages.spec.evaluation,
        ),
    )
    assert code == 0, stages.log("release")
    (bundle,) = (stages.folder / "artifacts" / "bundles").iterdir()
    assert released["revision"] == f"sha256:{bundle.name}"
    audio = read_aloud(Engine.load(bundle), "你好。", Controls())
    assert 0.3 < len(audio) / 24_000 < 4
    assert abs(audio).max() > 0.02


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_training_that_was_stopped_goes_on_from_its_checkpoint(make, number):
    stages = make(40)
    _, prepared = stages.run("prepare", stages.prepare_spec())
    spec = stages.train_spec(prepared)
    process = stages.begin("train", spec)
    until(lambda: stages.latest() >= 8, process)
    process.send_signal(number)
    assert process.wait(300) == (143 if number is signal.SIGTERM else -9)
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
