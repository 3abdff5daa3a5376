"""The VoiceModels in examples/ are valid and name data that is there."""

from pathlib import Path

import pytest
import yaml
from kubevoice.resources.voicemodel import load_voicemodel

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def test_the_demo_needs_no_server_and_finds_its_data_beside_it(tmp_path):
    model = load_voicemodel(EXAMPLES / "hsk-words.yaml", artifacts=tmp_path)
    assert model.spec.dataset.uri.rstrip("/") == f"file://{EXAMPLES}/hsk-words"
    assert (EXAMPLES / "hsk-words" / "metadata.csv").is_file()


def test_the_cluster_example_is_complete_without_a_default_store():
    spec = load_voicemodel(EXAMPLES / "s3-cluster.yaml").spec
    assert spec.dataset.uri.startswith("s3://")
    assert spec.storage.artifacts_uri.startswith("s3://")


def test_the_readme_shows_a_shorter_form_of_the_demo(tmp_path):
    shown = (ROOT / "README.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    full = yaml.safe_load((EXAMPLES / "hsk-words.yaml").read_text(encoding="utf-8"))
    short = yaml.safe_load(shown)
    assert load_voicemodel(shown, artifacts=tmp_path).metadata.name == full["metadata"]["name"]
    for part, fields in short["spec"].items():
        assert fields.items() <= full["spec"][part].items()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_says_how_to_run_it(path):
    assert f"examples/{path.name}" in path.read_text(encoding="utf-8").split("apiVersion")[0]
