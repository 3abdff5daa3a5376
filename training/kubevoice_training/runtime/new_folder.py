"""A folder that is written as a whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubevoice.errors import InputError, KubeVoiceError

__all__ = ["create_folder"]


def _sync(folder: Path) -> None:
    """Bring a folder and all in it to the disk."""
    for path in [folder, *folder.rglob("*")]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def create_folder(out: Path) -> Iterator[Path]:
    """Create a folder that gets its name when the block ends without an error.

    Parameters
    ----------
    out
        A folder that does not exist, or is empty.

    Yields
    ------
    Path
        An empty folder beside it, to write to.

    Raises
    ------
    InputError
        If `out` is there already.
    KubeVoiceError
        If it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already; name a folder that is not")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
            folder = Path(scratch) / "folder"
            folder.mkdir()
            yield folder
            _sync(folder)
            folder.replace(out)
    except OSError as error:
        raise KubeVoiceError(f"cannot write {out}: {error.strerror or error}") from error
