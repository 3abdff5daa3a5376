"""The Makefile says which program is missing."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A folder with the files that the Makefile reads before it installs anything."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run_make(folder, *arguments):
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_help_lists_every_target_for_people(checkout):
    result = run_make(checkout)
    assert result.returncode == 0
    for target in ("demo", "down", "test", "lint", "format", "lock", "images", "docs", "audit", "clean"):
        assert f"make {target} " in result.stdout


def test_without_python_the_message_names_the_version_to_install(checkout):
    result = run_make(checkout, "demo", "PYTHON=")
    assert result.returncode != 0
    assert "needs Python 3.11 or newer" in result.stderr
    assert not (checkout / ".venv").exists()


def test_without_venv_the_message_names_the_package_to_install(checkout):
    python = checkout / "python-without-venv"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    result = run_make(checkout, "demo", f"PYTHON={python}")
    assert result.returncode != 0
    assert "python3-venv" in result.stderr


def test_down_without_an_environment_is_no_error(checkout):
    result = run_make(checkout, "down")
    assert result.returncode == 0
    assert "nothing is installed" in result.stdout
