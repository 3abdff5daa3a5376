"""The VoiceModels in examples/ are valid, and their data exists."""

from pathlib import Path

import pytest
import yaml
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice.storage import connect
from kubevoice_training.dataset.check import check_dataset

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
FOR_CLUSTERS = sorted(path for path in EXAMPLES.glob("*.yaml") if path.name != "hsk-words.yaml")


def test_the_demo_needs_no_server_and_finds_its_data_beside_it(tmp_path):
    model = load_voicemodel(EXAMPLES / "hsk-words.yaml", artifacts=tmp_path)
    assert model.spec.dataset.uri.rstrip("/") == f"file://{EXAMPLES}/hsk-words"
    assert (EXAMPLES / "hsk-words" / "metadata.csv").is_file()


@pytest.mark.parametrize("path", FOR_CLUSTERS, ids=lambda path: path.stem)
def test_an_example_for_a_cluster_is_complete_and_names_its_prerequisites(path):
    spec = load_voicemodel(path).spec
    assert (spec.dataset or spec.base).uri.startswith("s3://")
    assert spec.storage.artifacts_uri.startswith("s3://")
    assert "# You need" in path.read_text(encoding="utf-8").split("apiVersion: kubevoice.io")[0]


def test_examples_have_different_names():
    names = [load_voicemodel(path).metadata.name for path in FOR_CLUSTERS]
    assert len(names) == len(set(names))


def test_the_pinned_digest_is_that_of_the_example_data():
    pinned = load_voicemodel(EXAMPLES / "air-gapped.yaml").spec.dataset.digest
    assert check_dataset(connect((EXAMPLES / "hsk-words").as_uri()), {}).digest == pinned


def test_the_readme_shows_a_shorter_form_of_the_demo(tmp_path):
    shown = (ROOT / "README.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    full = yaml.safe_load((EXAMPLES / "hsk-words.yaml").read_text(encoding="utf-8"))
    short = yaml.safe_load(shown)
    assert load_voicemodel(shown, artifacts=tmp_path).metadata.name == full["metadata"]["name"]
    for part, fields in short["spec"].items():
        assert fields.items() <= full["spec"][part].items()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_has_the_command_to_run_it(path):
    assert f"examples/{path.name}" in path.read_text(encoding="utf-8").split("apiVersion")[0]
