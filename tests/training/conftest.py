import json
import os
import subprocess
import sys
import time

import pytest
from example_dataset import link_dataset
from kubevoice.resources.stages import CollectSpec, PrepareResult, PrepareSpec, ReleaseSpec, TrainResult, TrainSpec
from kubevoice.resources.voicemodel import load_voicemodel
from s3_server import s3_server
from small_base import make_small_base

SPEC = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {{name: mei}}
spec:
  base: {{uri: "{base}"}}
  dataset: {{uri: {dataset}}}
  storage: {storage}
  training: {{maxSteps: {steps}, batchSize: 4, saveEvery: 4, devFraction: 0.2, learningRate: 1.0e-4}}
  evaluation: {{policy: Report}}
"""
DEADLINE_SECONDS = 300


class Runner:
    """Runs stages as processes, with their files and logs in one folder."""

    def __init__(self, folder, steps, dataset="data/", storage="{artifactsUri: artifacts/}", base="builtin://base"):
        path = folder / "voice.yaml"
        path.write_text(SPEC.format(steps=steps, dataset=dataset, storage=storage, base=base), encoding="utf-8")
        self.folder, self.spec = folder, load_voicemodel(path).spec

    def begin(self, stage, spec, largest_file=None, environment=None, listen=None):
        (self.folder / f"{stage}.json").write_text(spec.model_dump_json(by_alias=True), encoding="utf-8")
        # A limit on the size of files is answered by the kernel much as a full disk.
        limit = ["prlimit", f"--fsize={largest_file}"] if largest_file else []
        words = ["--spec", f"{stage}.json", "--workdir", f"work-{stage}", "--result", f"{stage}.result"]
        words += ["--listen", str(listen)] if listen else []
        with (self.folder / f"{stage}.log").open("ab") as log:
            return subprocess.Popen(
                [*limit, sys.executable, "-m", "kubevoice_training", stage, *words],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {}),
            )

    def finish(self, process, stage):
        code = process.wait(DEADLINE_SECONDS)
        return code, json.loads((self.folder / f"{stage}.result").read_text(encoding="utf-8"))

    def run(self, stage, spec, environment=None):
        return self.finish(self.begin(stage, spec, environment=environment), stage)

    def until(self, condition, process):
        """Wait for something a running stage does."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert process.poll() is None, "the stage ended too early"
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def log(self, stage):
        return (self.folder / f"{stage}.log").read_text(encoding="utf-8")

    def progress(self, stage):
        """The step a stage reported last."""
        try:
            return json.loads((self.folder / f"work-{stage}" / "progress.json").read_text())["step"]
        except FileNotFoundError:
            return 0

    def prepare_spec(self):
        return PrepareSpec(
            dataset=self.spec.dataset, base=self.spec.base, storage=self.spec.storage, dev_fraction=0.2, seed=0
        )

    def train_spec(self, prepared):
        result = PrepareResult.model_validate(prepared)
        return TrainSpec(
            features_uri=result.features_uri,
            features_digest=result.features_digest,
            base=self.spec.base,
            storage=self.spec.storage,
            training=self.spec.training,
        )

    def release_spec(self, prepared, trained):
        features, checkpoint = PrepareResult.model_validate(prepared), TrainResult.model_validate(trained)
        return ReleaseSpec(
            name="mei",
            features_uri=features.features_uri,
            features_digest=features.features_digest,
            dataset_digest=features.dataset_digest,
            checkpoint_uri=checkpoint.checkpoint_uri,
            checkpoint_digest=checkpoint.checkpoint_digest,
            base=self.spec.base,
            storage=self.spec.storage,
            evaluation=self.spec.evaluation,
        )

    def collect_spec(self, prefixes):
        # As it may arrive, not as it may be written.
        return CollectSpec.model_construct(storage=self.spec.storage, prefixes=tuple(prefixes))

    def latest(self):
        """Step of the newest checkpoint."""
        paths = list((self.folder / "artifacts").glob("train/*/steps/latest.json"))
        return json.loads(paths[0].read_text())["step"] if paths else 0


@pytest.fixture(scope="session")
def small_base(tmp_path_factory):
    """The folder of a base voice that is fine-tuned and released in less time than the built-in one."""
    return str(make_small_base(tmp_path_factory.mktemp("small")).path)


@pytest.fixture
def make(tmp_path, small_base):
    """Make a Runner whose dataset is a part of the example's."""
    link_dataset(tmp_path / "data")
    return lambda steps, **where: Runner(tmp_path, steps, **({"base": small_base} | where))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, small_base):
    """The result of `prepare`, for trainings of the same dataset."""
    folder = tmp_path_factory.mktemp("prepared")
    link_dataset(folder / "data")
    runner = Runner(folder, 1, base=small_base)
    code, result = runner.run("prepare", runner.prepare_spec())
    assert code == 0, runner.log("prepare")
    return result


@pytest.fixture
def s3(tmp_path):
    """A running S3 server, to be stopped and started at will."""
    with s3_server(tmp_path / "s3-root") as server:
        yield server
