"""The state folder: files written whole or not at all, and one owner at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubevoice.errors import KubeVoiceError

__all__ = ["exclusive", "write_atomically"]


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
