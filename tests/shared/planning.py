"""Plans for a VoiceModel whose stages have succeeded."""

import os
from datetime import UTC, datetime
from pathlib import Path

import yaml
from kubevoice.resources.stages import GateResult, PrepareResult, ReleaseResult, Stage, TrainResult
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.observed_state import JobPhase, ObservedJob, ObservedState
from kubevoice_operator.planner import plan
from kubevoice_operator.render.names import Images

GOLDEN = Path(__file__).resolve().parents[1] / "operator" / "golden"
STAGES = (Stage.PREPARE, Stage.TRAIN, Stage.RELEASE)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64
REVISION = "sha256:" + "1" * 64
MODEL = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: mei, namespace: voices}
spec:
  base: {uri: builtin://base}
  dataset: {uri: s3://data/set}
  storage: {artifactsUri: s3://voices, secretRef: {name: s3}, endpoint: "http://minio:9000"}
"""


def make_results(result=GateResult.PASSED, failures=("too slow",)):
    """Return the results of the stages."""
    return {
        Stage.PREPARE: PrepareResult(
            dataset_digest=DIGEST,
            features_uri="s3://voices/f",
            features_digest=DIGEST,
            clips=9,
            seconds=9,
            per_emotion={},
            base_sha256="2" * 64,
        ),
        Stage.TRAIN: TrainResult(checkpoint_uri="s3://voices/c", checkpoint_digest=DIGEST, step=5, loss=1.0),
        Stage.RELEASE: ReleaseResult(
            revision=REVISION, uri="s3://voices/bundles/1", metrics={}, verdict=result, failures=failures
        ),
    }


def plan_after(stages, result=GateResult.PASSED, model=MODEL, service=None, refused=None, failures=("too slow",)):
    """Return the plan after the Jobs of `stages` have succeeded."""
    model, jobs = load_voicemodel(model), {}
    for stage in stages:
        (job,) = plan(model, ObservedState(jobs=jobs), NOW, Images()).jobs
        answer = make_results(result, failures)[stage].model_dump_json(by_alias=True)
        jobs |= {job["metadata"]["name"]: ObservedJob(JobPhase.SUCCEEDED, answer, 0)}
    return plan(model, ObservedState(jobs=jobs, service=service, serving_refusal=refused), NOW, Images())


class BlockDumper(yaml.SafeDumper):
    """Writes text of several lines as a block."""


BlockDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)
)


def compare_with_golden(rendered, path):
    """Compare an object with a golden file, or write the file if KUBEVOICE_UPDATE_GOLDEN is set."""
    written = yaml.dump(rendered, Dumper=BlockDumper, sort_keys=False, width=120)
    if os.environ.get("KUBEVOICE_UPDATE_GOLDEN"):
        path.write_text(written)
    assert path.read_text() == written
