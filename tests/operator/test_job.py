"""The Jobs of stages; a distributed training is one Indexed Job."""

from pathlib import Path

import pytest
from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.render.job import pod_template_hash, render_job
from kubevoice_operator.render.names import Images
from pydantic import BaseModel

SPEC = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {{name: mei, namespace: voices}}
spec:
  base: {{uri: builtin://base}}
  dataset: {{uri: s3://data/set}}
  storage: {{artifactsUri: s3://voices}}
  training: {{nodes: {nodes}, gpusPerNode: {gpus}, backoffLimit: 2}}
"""


@pytest.fixture
def model(tmp_path):
    def make(nodes, gpus):
        (tmp_path / "voice.yaml").write_text(SPEC.format(nodes=nodes, gpus=gpus), encoding="utf-8")
        return load_voicemodel(Path(tmp_path / "voice.yaml"))

    return make


class EmptySpec(BaseModel):
    """A stage's spec, which the Job only contains."""


def render(model, stage=Stage.TRAIN):
    job = render_job(model, stage, EmptySpec(), "mei-train", Images())["spec"]
    (container,) = job["template"]["spec"]["containers"]
    return job, {item["name"]: item.get("value") for item in container["env"]}, container["resources"]


def test_a_distributed_training_is_one_indexed_job(model):
    job, environment, resources = render(model(4, 8))
    assert (job["completionMode"], job["completions"], job["parallelism"]) == ("Indexed", 4, 4)
    assert job["backoffLimit"] == 8  # if one pod fails, all four fail
    assert (environment["KUBEVOICE_NODES"], environment["KUBEVOICE_PROCESSES"]) == ("4", "8")
    assert "POD_IP" in environment
    assert resources["limits"]["nvidia.com/gpu"] == "8"
    codes = {
        (rule["action"], code)
        for rule in job["podFailurePolicy"]["rules"]
        for code in rule.get("onExitCodes", {}).get("values", ())
    }
    assert codes == {("FailJob", 2), ("Ignore", 143)}


def test_one_pod_is_a_plain_job_even_with_several_gpus(model):
    job, environment, _ = render(model(1, 2))
    assert "completionMode" not in job
    assert (environment.get("KUBEVOICE_NODES"), environment["KUBEVOICE_PROCESSES"]) == (None, "2")


def test_only_training_is_distributed(model):
    job, environment, _ = render(model(4, 8), Stage.RELEASE)
    assert "completionMode" not in job
    assert not {"KUBEVOICE_NODES", "KUBEVOICE_PROCESSES", "POD_IP"} & set(environment)


def test_the_number_of_nodes_changes_only_the_template_hash_of_training(model):
    assert pod_template_hash(model(2, 1), Stage.TRAIN) != pod_template_hash(model(3, 1), Stage.TRAIN)
    assert pod_template_hash(model(2, 1), Stage.RELEASE) == pod_template_hash(model(3, 1), Stage.RELEASE)


def test_a_pod_has_the_operators_image_pull_secrets(model):
    images = Images(training="mirror/training:1", pull_secrets=("mirror",))
    pod = render_job(model(1, 0), Stage.PREPARE, EmptySpec(), "mei-prepare", images)["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "mirror"}]
    assert pod["containers"][0]["image"] == "mirror/training:1"
