"""Models that judge speech come inside Python packages of the `evaluation` extra; here their files are found.

Only the weights are used. The packages' own code is never imported: it wants compilers and libraries that we do not.
"""

import importlib.util
from pathlib import Path

from kubevoice.errors import KubeVoiceError

__all__ = ["EXTRA", "find_model_file", "is_installed"]

EXTRA = "kubevoice[evaluation]"


def is_installed(*packages: str) -> bool:
    """Tell whether all these packages are there."""
    return all(importlib.util.find_spec(name) for name in packages)


def find_model_file(package: str, path: str, use: str) -> Path:
    """Return the path of a file inside a package; KubeVoiceError, naming its `use`, if that is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise KubeVoiceError(f"package {package} is not installed; install {EXTRA} to measure {use}")
    return Path(spec.submodule_search_locations[0]) / path
