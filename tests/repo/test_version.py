"""The command, the changelog, the images and the examples have the version of pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from kubevoice_operator.render.names import Images

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_the_command_prints_it():
    command = [sys.executable, "-c", "from kubevoice_cli.main import run; run()", "version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, f"{VERSION}\n"), result.stderr


def test_the_changelog_begins_with_it():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest[1] == VERSION


@pytest.mark.parametrize("image", [Images().training, Images().serving])
def test_the_default_images_have_it(image):
    assert image.rpartition(":")[2] == VERSION


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_name_images_of_it(path):
    tags = re.findall(r"image: \S+/kubevoice/\w+:(\S+)", path.read_text(encoding="utf-8"))
    assert set(tags) <= {VERSION}
