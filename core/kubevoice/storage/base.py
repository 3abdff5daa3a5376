"""The interface of storage, and what its implementations share."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from kubevoice.errors import InputError

__all__ = ["ObjectInfo", "S3Options", "Storage", "validate_key"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object.

    Attributes
    ----------
    key
        Path below the storage's root.
    size
        In bytes.
    etag
        What S3 calls the version of the content; None on disk.
    path
        The file; None on S3.
    """

    key: str
    size: int
    etag: str | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach an S3 server.

    Credentials come from boto3's default chain (AWS_ACCESS_KEY_ID and so on), a CA to trust from AWS_CA_BUNDLE.
    """

    endpoint: str | None = None
    region: str = "us-east-1"
    path_style: bool = False
    patience_seconds: float = 90.0
    """How long transient errors are retried: the server cannot be reached, or answers 429 or 5xx."""


class Storage(Protocol):
    """Objects under one root. Keys are relative, '/'-separated; writes appear whole or not at all.

    Every method raises InputError for a key that is empty or leaves the root, and StorageError, with advice, for
    any other failure.
    """

    @property
    def uri(self) -> str:
        """The root, without a trailing slash."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List objects, sorted by key.

        Parameters
        ----------
        prefix
            What their keys begin with.

        Yields
        ------
        ObjectInfo
            An object.

        Raises
        ------
        StorageError
            If the storage cannot be reached or refuses the request.
        """
        ...

    def exists(self, key: str) -> bool:
        """Check whether an object exists.

        Parameters
        ----------
        key
            Path below the storage's root.

        Returns
        -------
        bool
            True if it does.

        Raises
        ------
        StorageError
            If the storage cannot be reached or refuses the request.
        """
        ...

    def read(self, key: str) -> bytes:
        """Read an object.

        Parameters
        ----------
        key
            Path below the storage's root.

        Returns
        -------
        bytes
            Its content.

        Raises
        ------
        StorageError
            If the storage cannot be reached or refuses the request.
        ObjectNotFoundError
            If there is no such object.
        """
        ...

    def write(self, key: str, data: bytes) -> None:
        """Write an object; readers see the old content or the new one.

        Parameters
        ----------
        key
            Path below the storage's root.
        data
            Its content.

        Raises
        ------
        StorageError
            If the storage cannot be reached or refuses the request.
        """
        ...

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a local file.

        Parameters
        ----------
        key
            Path below the storage's root.
        path
            The file.

        Raises
        ------
        StorageError
            If the storage cannot be reached or refuses the request.
        ObjectNotFoundError
            If there is no such object.
        """
        ...

    def upload(self, path: Path, key: str) -> None:
        """Copy a local file to an object.

        Parameters
        ----------
        path
            The file.
        key
            Path below the storage's root.

        Raises
        ------
        StorageError
            If the storage cannot be reached or refuses the request.
        """
        ...

    def create(self, key: str, scratch: Path) -> AbstractContextManager[IO[bytes]]:
        """Open an object to write its content bit by bit. It appears when the block ends without an error.

        Parameters
        ----------
        key
            Path below the storage's root.
        scratch
            Local folder for a temporary file, if the storage needs one. Nothing stays there.

        Returns
        -------
        context manager
            Of a file to write to, in order.

        Raises
        ------
        StorageError
            If the storage cannot be reached or refuses the request.
        """
        ...

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if there is none.

        Parameters
        ----------
        key
            Path below the storage's root.

        Raises
        ------
        StorageError
            If the storage cannot be reached or refuses the request.
        """
        ...

    def delete_below(self, path: str) -> int:
        """Delete the object `path` and all objects below the folder `path`.

        Parameters
        ----------
        path
            Key or folder.

        Returns
        -------
        int
            Number of deleted objects.

        Raises
        ------
        StorageError
            If the storage cannot be reached or refuses the request.
        """
        ...


def validate_key(key: str) -> str:
    """Check that a key stays below its root. Keys come from datasets and manifests.

    Parameters
    ----------
    key
        The key.

    Returns
    -------
    str
        The same key.

    Raises
    ------
    InputError
        If it is absolute or leads out of the root.
    """
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts or "\\" in key or any(ord(c) < 32 for c in key):
        raise InputError(f"{key!r} is not a path inside the storage; use a relative path without '..'")
    return "/".join(parts)
