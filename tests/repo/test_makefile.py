"""The Makefile says what a machine lacks instead of failing somewhere inside."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A fresh checkout's worth of what the Makefile reads before it installs anything."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def make(folder, *arguments):
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_help_lists_every_target_a_person_calls(checkout):
    answer = make(checkout)
    assert answer.returncode == 0
    for target in ("demo", "down", "test", "lint", "format", "lock", "images", "docs", "audit", "clean"):
        assert f"make {target} " in answer.stdout


def test_no_python_is_answered_with_what_to_install(checkout):
    answer = make(checkout, "demo", "PYTHON=")
    assert answer.returncode != 0
    assert "needs Python 3.11 or newer" in answer.stderr
    assert not (checkout / ".venv").exists()


def test_python_without_venv_is_answered_with_the_package_to_install(checkout):
    python = checkout / "python-without-venv"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    answer = make(checkout, "demo", f"PYTHON={python}")
    assert answer.returncode != 0
    assert "python3-venv" in answer.stderr


def test_down_without_an_environment_is_no_error(checkout):
    answer = make(checkout, "down")
    assert answer.returncode == 0
    assert "nothing is installed" in answer.stdout
