"""`sbom.py NAME`: print what is in this image as a CycloneDX document: Python, its packages and Debian's."""

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


def document(name: str) -> dict[str, Any]:
    """Return the document of the image `name`; the same packages make the same document."""
    python = platform.python_version()
    components = [_component(f"pkg:generic/python@{python}", "python", python, "PSF-2.0")]
    components += [*(_python(found) for found in distributions()), *_debian()]
    components.sort(key=lambda component: component["purl"])
    version = next(found.version for found in distributions() if found.name == "kubevoice")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": components,
    }


def _python(found: Distribution) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", found.name).lower()
    return _component(f"pkg:pypi/{name}@{found.version}", found.name, found.version, _licence(found))


def _licence(found: Distribution) -> str:
    """Return the licence's name; the older field has as often the whole text, and then classifiers name it."""
    if expression := found.metadata["License-Expression"]:
        return str(expression)
    text = str(found.metadata["License"] or "")
    if text and len(text) <= NAME_LENGTH and "\n" not in text:
        return text
    classifiers = found.metadata.get_all("Classifier") or []
    return ", ".join(line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: "))


def _debian() -> list[dict[str, Any]]:
    query = ["dpkg-query", "--show", "--showformat", "\t".join(DEBIAN_FIELDS) + "\n"]
    listed = subprocess.run(query, check=True, capture_output=True, text=True).stdout  # noqa: S603  # fixed words
    system = platform.freedesktop_os_release()
    found = []
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        marks = f"arch={architecture}&distro={system['ID']}-{system.get('VERSION_ID', '')}"
        purl = f"pkg:deb/{system['ID']}/{quote(name)}@{quote(version)}?{marks}"
        found.append(_component(purl, name, version, ""))
    return found


def _component(purl: str, name: str, version: str, licence: str) -> dict[str, Any]:
    component: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return component | ({"licenses": [{"license": {"name": licence}}]} if licence else {})


if __name__ == "__main__":
    json.dump(document(sys.argv[1]), sys.stdout, indent=1, ensure_ascii=False)
