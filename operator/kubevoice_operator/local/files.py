"""The state folder: files written whole or not at all, and one owner at a time."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubevoice.digests import short_hash
from kubevoice.errors import KubeVoiceError
from kubevoice.storage import S3Options, connect

__all__ = ["dataset_fingerprint", "exclusive", "write_atomically"]


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new one, also after a crash.

    Only the owner can read the file.

    Parameters
    ----------
    path
        The file.
    text
        Its new content.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        temporary.chmod(0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Hold the lock of the state folder while the block runs. The lock ends with its process.

    Parameters
    ----------
    home
        The state folder.

    Raises
    ------
    KubeVoiceError
        If another process holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise KubeVoiceError(
                f"another kubevoice (process {holder}) works in {home}; wait for it, or stop it with Ctrl-C"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def dataset_fingerprint(uri: str, options: S3Options) -> str:
    """Compute a digest of names, sizes and, on disk, times of a dataset's files, without reading them.

    Parameters
    ----------
    uri
        Where the dataset is.
    options
        How to connect to S3.

    Returns
    -------
    str
        16 hex digits of a SHA-256.
    """
    storage = connect(uri, options)
    local = re.match(r"file://(/.*)", storage.uri)
    lines = []
    for item in storage.list():
        time = (Path(local[1]) / item.key).stat().st_mtime_ns if local else 0
        lines.append(f"{item.key}\t{item.size}\t{time}\n")
    return short_hash("".join(lines))
