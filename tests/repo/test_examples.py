"""The VoiceModels in examples/ are valid and name data that is there."""

from pathlib import Path

import pytest
import yaml
from kubevoice.resources.voicemodel import VoiceModel

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(path):
    return VoiceModel.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_example_is_a_valid_voicemodel(path):
    assert load(path).metadata.name


def test_the_demo_needs_no_server_and_finds_its_data_beside_it():
    spec = load(EXAMPLES / "hsk-words.yaml").spec
    assert "://" not in spec.dataset.uri
    assert (EXAMPLES / spec.dataset.uri / "metadata.csv").is_file()


def test_the_readme_shows_a_valid_voicemodel():
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    shown = readme.split("```yaml\n")[1].split("```")[0]
    assert VoiceModel.model_validate(yaml.safe_load(shown)).metadata.name == "hsk-words"
