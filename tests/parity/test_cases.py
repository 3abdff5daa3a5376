"""Every parity case of the reference, as `make parity` runs them. Only developers have the cases (../shared/parity)."""

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("parity_run", Path(__file__).with_name("run.py"))
parity_run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(parity_run)

MANIFEST = parity_run.CASES / "manifest.json"
NAMES = [case["name"] for case in json.loads(MANIFEST.read_text())["cases"]] if MANIFEST.is_file() else []
pytestmark = [
    pytest.mark.parity,
    pytest.mark.slow,
    pytest.mark.skipif(not NAMES, reason="the parity cases are not on this machine"),
]


@pytest.fixture(scope="module")
def comparisons():
    """Return the line of check.py's output for each case, by name."""
    result = parity_run.compare(stdout=subprocess.PIPE, text=True)
    return {line.split()[1].rstrip(":"): line for line in result.stdout.splitlines() if line[:4] in ("ok  ", "FAIL")}


@pytest.mark.parametrize("name", NAMES)
def test_the_output_equals_the_references(comparisons, name):
    assert comparisons.get(name, "was not compared").startswith("ok"), comparisons.get(name)
