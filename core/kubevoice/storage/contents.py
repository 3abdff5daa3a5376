"""What the objects of a storage contain, without a download from S3."""

from collections.abc import Callable
from pathlib import Path

from kubevoice.digests import hash_file
from kubevoice.storage.base import Storage

__all__ = ["list_contents"]

UNREADABLE = "unreadable"


def list_contents(storage: Storage, digest: Callable[[Path], str] = hash_file) -> dict[str, str]:
    """Name the content of every object: by SHA-256 on disk, by ETag and size on S3.

    Names, times and owners of files do not count. An ETag changes with the content. It may also change without it,
    when the same content is uploaded in parts of another size.

    Parameters
    ----------
    storage
        The storage.
    digest
        Computes the SHA-256 of a file.

    Returns
    -------
    dict
        What names the content, by key.

    Raises
    ------
    StorageError
        If the storage cannot be reached or refuses the request.
    """
    return {
        item.key: f"{item.etag} {item.size}" if item.path is None else _digest_file(item.path, digest)
        for item in storage.list()
    }


def _digest_file(path: Path, digest: Callable[[Path], str]) -> str:
    try:
        return digest(path)
    except OSError:
        return UNREADABLE  # no error here: the dataset may not use the file, and its reader names the cause
