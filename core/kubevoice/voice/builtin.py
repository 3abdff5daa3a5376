"""Voices that ship with KubeVoice, named `builtin://NAME`."""

import os
from pathlib import Path

from kubevoice.errors import InputError

__all__ = ["builtin_voice"]

SCHEME = "builtin://"


def _voices_dir() -> Path:
    """Return the folder of shipped voices: named by KUBEVOICE_VOICES, inside the wheel, or in the checkout."""
    if named := os.environ.get("KUBEVOICE_VOICES"):
        return Path(named)
    packaged = Path(__file__).parents[1] / "_voices"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "voices"


def builtin_voice(uri: str) -> Path:
    """Find a voice that ships with the package.

    Parameters
    ----------
    uri
        `builtin://NAME`.

    Returns
    -------
    Path
        Its folder.

    Raises
    ------
    InputError
        If there is no such voice; the message names those there are.
    """
    name = uri.removeprefix(SCHEME).strip("/")
    voices_dir = _voices_dir()
    names = sorted(p.parent.name for p in voices_dir.glob("*/voice.json"))
    if name not in names:
        raise InputError(f"no shipped voice {name!r}; there are: {', '.join(names) or 'none'}")
    return voices_dir / name
