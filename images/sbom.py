"""`sbom.py NAME`: print a CycloneDX document of this image: Python, its packages and Debian's packages."""

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from typing import Any
from urllib.parse import quote

SPEC_VERSION = "1.6"
NAME_LENGTH = 80
DEBIAN_FIELDS = ("${Package}", "${Version}", "${Architecture}")


def build_document(name: str) -> dict[str, Any]:
    """Return the document of the image `name`. It depends on the installed packages alone."""
    python = platform.python_version()
    components = [_component(f"pkg:generic/python@{python}", "python", python, "PSF-2.0")]
    components += [*map(_python_component, distributions()), *_list_debian()]
    components.sort(key=lambda component: component["purl"])
    version = next(package.version for package in distributions() if package.name == "kubevoice")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": components,
    }


def _python_component(package: Distribution) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", package.name).lower()
    return _component(f"pkg:pypi/{name}@{package.version}", package.name, package.version, _find_licence(package))


def _find_licence(package: Distribution) -> str:
    """Return the name of the licence.

    The older field License often has the whole text. Then the classifiers name the licence.
    """
    if expression := package.metadata["License-Expression"]:
        return str(expression)
    text = str(package.metadata["License"] or "")
    if text and len(text) <= NAME_LENGTH and "\n" not in text:
        return text
    classifiers = package.metadata.get_all("Classifier") or []
    return ", ".join(line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: "))


def _list_debian() -> list[dict[str, Any]]:
    query = ["dpkg-query", "--show", "--showformat", "\t".join(DEBIAN_FIELDS) + "\n"]
    output = subprocess.run(query, check=True, capture_output=True, text=True).stdout  # noqa: S603  # fixed arguments
    system = platform.freedesktop_os_release()
    components = []
    for line in output.splitlines():
        name, version, architecture = line.split("\t")
        qualifiers = f"arch={architecture}&distro={system['ID']}-{system.get('VERSION_ID', '')}"
        purl = f"pkg:deb/{system['ID']}/{quote(name)}@{quote(version)}?{qualifiers}"
        components.append(_component(purl, name, version, ""))
    return components


def _component(purl: str, name: str, version: str, licence: str) -> dict[str, Any]:
    component: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return component | ({"licenses": [{"license": {"name": licence}}]} if licence else {})


if __name__ == "__main__":
    json.dump(build_document(sys.argv[1]), sys.stdout, indent=1, ensure_ascii=False)
