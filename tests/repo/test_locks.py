"""Lock files have hashes and no addresses, and match pyproject.toml. No test uses the network."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIGURATION["project"]
EXTRAS = PROJECT["optional-dependencies"]
DEPENDENCIES = PROJECT["dependencies"]
OPERATOR = CONFIGURATION["dependency-groups"]["operator-image"]
REQUIREMENTS = {
    "dev": [*DEPENDENCIES, *(line for extra in EXTRAS.values() for line in extra)],
    "operator": OPERATOR,
    "serving": [*DEPENDENCIES, *EXTRAS["serving"]],
    "training": [*DEPENDENCIES, *EXTRAS["training"], *EXTRAS["evaluation"]],
    "build": CONFIGURATION["dependency-groups"]["build"],
}
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")


def read_lock(name: str) -> dict[str, list[tuple[Version, int]]]:
    """Return package -> [(version, number of hashes)]. There are several if Python versions need different ones."""
    pins: dict[str, list[tuple[Version, int]]] = {}
    for block in re.split(r"\n(?=\S)", (ROOT / "requirements" / f"{name}.lock").read_text()):
        pin = PIN.match(block)
        assert pin, f"{name}.lock: not a pin: {block[:80]!r}"
        entry = (Version(pin[2]), block.count("--hash=sha256:"))
        pins.setdefault(canonicalize_name(pin[1]), []).append(entry)
    return pins


@pytest.mark.parametrize("use", REQUIREMENTS)
def test_every_direct_dependency_is_locked_within_its_bounds(use):
    pins = read_lock(use)
    wrong = []
    for requirement in map(Requirement, REQUIREMENTS[use]):
        versions = [version for version, _ in pins.get(canonicalize_name(requirement.name), [])]
        if not versions or not all(requirement.specifier.contains(version) for version in versions):
            wrong.append(f"{requirement}: locked at {[str(version) for version in versions]}")
    assert wrong == [], "run `make lock`"


@pytest.mark.parametrize("use", REQUIREMENTS)
def test_every_pin_has_a_hash(use):
    assert [name for name, pins in read_lock(use).items() if any(hashes == 0 for _, hashes in pins)] == []


@pytest.mark.parametrize("use", REQUIREMENTS)
def test_a_container_has_the_versions_that_were_tested(use):
    tested = {name: {version for version, _ in pins} for name, pins in read_lock("dev").items()}
    differing = {name for name, pins in read_lock(use).items() if not {version for version, _ in pins} <= tested[name]}
    assert differing == set()


def test_the_operators_container_has_the_packages_of_its_extra():
    assert {Requirement(line).name for line in EXTRAS["operator"]} <= {Requirement(line).name for line in OPERATOR}


@pytest.mark.parametrize(
    ("use", "package"),
    [
        ("operator", "torch"),
        ("operator", "ray"),
        ("operator", "onnxruntime"),
        ("operator", "numpy"),
        ("serving", "torch"),
    ],
)
def test_a_container_lacks_packages_that_it_never_imports(use, package):
    assert package not in read_lock(use)


@pytest.mark.parametrize("use", REQUIREMENTS)
def test_a_lock_names_no_address_and_no_absolute_path(use):
    lines = (ROOT / "requirements" / f"{use}.lock").read_text().splitlines()
    assert [line for line in lines if "://" in line or re.search(r"(?:^|[\s=])/", line)] == []
