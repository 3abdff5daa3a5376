"""The interface of storage, and what its implementations share."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from kubevoice.errors import InputError

__all__ = ["ObjectInfo", "S3Options", "Storage", "validate_key"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object: its key and its size in bytes."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach an S3 server.

    Credentials come from boto3's default chain (AWS_ACCESS_KEY_ID and so on), a CA to trust from AWS_CA_BUNDLE.
    """

    endpoint: str | None = None
    region: str = "us-east-1"
    path_style: bool = False
    patience_seconds: float = 90.0
    """How long to go on trying while the server cannot be reached or answers that it is in trouble itself."""


class Storage(Protocol):
    """Objects under one root. Keys are relative, '/'-separated; writes appear whole or not at all.

    Every method raises InputError for a key that leaves the root or names nothing, and StorageError, with what
    to do, for trouble on the way.
    """

    @property
    def uri(self) -> str:
        """The root, without a trailing slash."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List what lies under `prefix`, sorted by key."""
        ...

    def exists(self, key: str) -> bool:
        """Tell whether there is an object of that key."""
        ...

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Store `data`."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a local file."""
        ...

    def upload(self, path: Path, key: str) -> None:
        """Copy a local file to an object."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""
        ...

    def delete_below(self, path: str) -> int:
        """Remove the object `path` and all that lies below the folder `path`; return how many objects that were."""
        ...


def validate_key(key: str) -> str:
    """Return `key` if it stays below its root; InputError otherwise. Keys come from datasets and manifests."""
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts or "\\" in key or any(ord(c) < 32 for c in key):
        raise InputError(f"{key!r} is no path inside the storage; use a relative path without '..'")
    return "/".join(parts)
