"""Files of the evaluators (Whisper, GE2E, DNSMOS), which come in Python packages of the `evaluation` extra.

Only the weights are used. The packages' code is not imported: it needs compilers and libraries that we do without.
"""

import importlib.util
from pathlib import Path

from kubevoice.errors import KubeVoiceError

__all__ = ["EXTRA", "find_model_file", "is_installed"]

EXTRA = "kubevoice[evaluation]"


def is_installed(*packages: str) -> bool:
    """Check whether packages are installed, without importing them.

    Parameters
    ----------
    packages
        Names to import.

    Returns
    -------
    bool
        True if all of them are.
    """
    return all(importlib.util.find_spec(name) for name in packages)


def find_model_file(package: str, path: str, use: str) -> Path:
    """Find a file in an installed package.

    Parameters
    ----------
    package
        Name to import.
    path
        Of the file, below the package's folder.
    use
        What the file is used for, for the message.

    Returns
    -------
    Path
        Absolute path of the file.

    Raises
    ------
    KubeVoiceError
        If the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise KubeVoiceError(f"package {package} is not installed; install {EXTRA} to measure {use}")
    return Path(spec.submodule_search_locations[0]) / path
