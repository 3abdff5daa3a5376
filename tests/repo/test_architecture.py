"""The files, folders and functions that docs/architecture.md names exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = ("core", "training/kubevoice_training", "serving", "operator", "cli")
CITED = sorted(set(re.findall(r"`((?:core|training|serving|operator|cli)/[\w/]+\.py)(?::([\w.]+))?`", PAGE)))
SHORT = sorted(set(re.findall(r"`((?!core/|training/|serving/|operator/|cli/)[\w/]+\.py)(?::([\w.]+))?`", PAGE)))
"""Files that the page names by their path within a package."""
FOLDERS = sorted(set(re.findall(r"`((?:core|training|serving|operator|cli)/[\w/]+)`", PAGE)))
NAMES = sorted(set(re.findall(r"`(_?[a-z]+_\w+|[A-Z][a-z]+[A-Z]\w+(?:\.\w+)?|[A-Z]\w+\.[a-z]\w+)`", PAGE)))
"""Modules, functions and classes that the page names without their file."""
OTHERS = {"FineTune", "user_config"}
"""A value of a field, and a field of Ray Serve."""


def defines(body, names):
    """Return whether a list of statements defines the dotted path `names`."""
    name, *rest = names
    matches = [node for node in body if getattr(node, "name", None) == name]
    return any(not rest or defines(node.body, rest) for node in matches)


def test_the_table_has_at_least_ten_behaviours():
    table = PAGE.split("## Where is it?")[1].split("##")[0]
    assert len(re.findall(r"^\| .*\.py:\w", table, re.MULTILINE)) >= 10


@pytest.mark.parametrize(("file", "name"), CITED, ids=str)
def test_a_cited_function_exists(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert not name or defines(tree.body, name.split("."))


@pytest.mark.parametrize(("file", "name"), SHORT, ids=str)
def test_a_file_named_within_its_package_exists(file, name):
    paths = [path for root in PACKAGES for path in (ROOT / root).rglob(file) if path.as_posix().endswith(f"/{file}")]
    assert any(not name or defines(ast.parse(path.read_text(encoding="utf-8")).body, name.split(".")) for path in paths)


def test_every_name_on_the_page_is_in_the_product():
    paths = [path for root in PACKAGES for path in (ROOT / root).rglob("*.py")]
    bodies = [ast.parse(path.read_text(encoding="utf-8")).body for path in paths]
    names = {*NAMES} - OTHERS - {path.stem for path in paths}
    assert [name for name in names if not any(defines(body, name.split(".")) for body in bodies)] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_on_the_map_exists(folder):
    assert (ROOT / folder).is_dir()


def test_every_package_is_on_the_map():
    inner = ("core/kubevoice/text/normalisation", "core/kubevoice/text/ssml")  # in the row of core/kubevoice/text
    roots = (ROOT / root for root in PACKAGES)
    packages = {path.parent.relative_to(ROOT).as_posix() for root in roots for path in root.rglob("__init__.py")}
    assert packages - {*FOLDERS, *inner} == set()
