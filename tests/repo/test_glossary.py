"""Files and identifiers that docs/glossary.md names are in the product."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "core": "core/kubevoice",
    "training": "training/kubevoice_training",
    "serving": "serving/kubevoice_serving",
    "operator": "operator/kubevoice_operator",
    "cli": "cli/kubevoice_cli",
}
LINES = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
ROWS = [cells for line in LINES if line.startswith("| ") and len(cells := line.split(" | ")) == 4 and "---" not in line]


def product_names():
    for path in (path for root in PACKAGES.values() for path in (ROOT / root).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield getattr(node, "name", None) or getattr(node, "id", None) or getattr(node, "attr", None)
            yield getattr(node, "arg", None)


def test_a_row_has_its_meaning():
    assert len(ROWS) > 100
    assert [cells[0] for cells in ROWS if not cells[1].strip() or not cells[2].strip()] == []


def test_the_files_are_there():
    missing = []
    for _, _, where, _ in ROWS:
        for part in where.split("; "):
            package = part.partition(",")[0]
            folder = ROOT / PACKAGES[package] if package in PACKAGES else ROOT
            missing += [path for path in re.findall(r"`([\w/]+(?:/|\.py))`", part) if not (folder / path).exists()]
    assert missing == []


def test_the_classes_and_functions_are_there():
    """Single letters and T_mel are dimensions of shapes, `build_` a beginning of names."""
    names = {*product_names()}
    cited = {name for _, meaning, _, _ in ROWS for name in re.findall(r"`([A-Z]\w+[a-z]|[a-z]+_\w*[a-z])`", meaning)}
    assert sorted(cited - names - {"T_mel", "T_text"}) == []
