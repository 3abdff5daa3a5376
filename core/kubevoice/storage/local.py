"""Storage in a folder."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from typing_extensions import override

from kubevoice.errors import InputError, StorageError
from kubevoice.storage.base import ObjectInfo, Storage, validate_key

__all__ = ["LocalStorage", "atomic_file", "explain_os_errors"]


@contextmanager
def explain_os_errors(failure: str) -> Iterator[None]:
    """Turn an OSError of the block into a StorageError that says what to do.

    Parameters
    ----------
    failure
        Beginning of the message, such as "cannot read file:///data/a.wav".

    Raises
    ------
    StorageError
        In place of the OSError.
    InputError
        If the file does not exist.
    """
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{failure}: there is no such file") from None
    except OSError as error:
        advice = {
            errno.ENOSPC: "the disk is full; free some space and run it again",
            errno.EDQUOT: "the disk quota is used up; free some space and run it again",
            errno.EFBIG: "the file would be larger than is allowed here",
            errno.EACCES: "permission is denied; check the owner and mode of the folder",
            errno.EPERM: "permission is denied; check the owner and mode of the folder",
            errno.EROFS: "the file system is read-only",
        }.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"{failure}: {advice}") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears at `path` when the block ends without an error, and not at all otherwise.

    Parameters
    ----------
    path
        Where the file appears, complete and synced.

    Yields
    ------
    IO
        Open for writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:64]}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class LocalStorage(Storage):
    """A folder; symbolic links that lead out of it are refused."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    @override
    def uri(self) -> str:
        """Return the folder as a file:// URI."""
        return self._root.as_uri()

    def _path(self, key: str) -> Path:
        path = self._root / validate_key(key)
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise InputError(f"{key}: the path leads out of {self._root} through a symbolic link")
        return path

    @override
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the files below the folder, sorted by key; files that are still being written are left out."""
        if prefix:
            validate_key(prefix)
        files = (path for path in self._root.rglob("*") if path.is_file() and not path.name.endswith(".part"))
        keys = sorted((path.relative_to(self._root).as_posix(), path) for path in files)
        for key, path in keys:
            if key.startswith(prefix):
                yield ObjectInfo(key, path.stat().st_size, path=path)

    @override
    def exists(self, key: str) -> bool:
        """Check whether there is a regular file at the key."""
        return self._path(key).is_file()

    @override
    def read(self, key: str) -> bytes:
        """Read a file."""
        with explain_os_errors(f"cannot read {self.uri}/{key}"):
            return self._path(key).read_bytes()

    @override
    def write(self, key: str, data: bytes) -> None:
        """Write a file; it replaces an older one when it is complete."""
        with explain_os_errors(f"cannot write {self.uri}/{key}"), atomic_file(self._path(key)) as file:
            file.write(data)

    @override
    def download(self, key: str, path: Path) -> None:
        """Copy a file to a path; it appears there when it is complete."""
        self._copy(self._path(key), path, f"cannot copy {self.uri}/{key}")

    @override
    def upload(self, path: Path, key: str) -> None:
        """Copy a local file into the folder; it appears at the key when it is complete."""
        self._copy(path, self._path(key), f"cannot write {self.uri}/{key}")

    @override
    @contextmanager
    def create(self, key: str, scratch: Path) -> Iterator[IO[bytes]]:
        """Open a file beside the key; it gets its name when it is complete."""
        with explain_os_errors(f"cannot write {self.uri}/{key}"), atomic_file(self._path(key)) as file:
            yield file

    def _copy(self, source: Path, target: Path, failure: str) -> None:
        with explain_os_errors(failure), source.open("rb") as data, atomic_file(target) as file:
            shutil.copyfileobj(data, file, 1 << 20)

    @override
    def delete(self, key: str) -> None:
        """Delete a file if it exists."""
        with explain_os_errors(f"cannot delete {self.uri}/{key}"):
            self._path(key).unlink(missing_ok=True)

    @override
    def delete_below(self, path: str) -> int:
        """Delete the file, or the folder with all files in it; return the number of files."""
        target = self._path(path)
        with explain_os_errors(f"cannot delete {self.uri}/{path}"):
            if target.is_file():
                target.unlink()
                return 1
            if not target.is_dir():
                return 0
            count = sum(1 for file in target.rglob("*") if file.is_file() and not file.name.endswith(".part"))
            shutil.rmtree(target)
        return count
