"""Which implementation a storage URI names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from kubevoice.errors import InputError
from kubevoice.storage.base import S3Options, Storage
from kubevoice.storage.local import LocalStorage
from kubevoice.storage.s3 import S3Storage

__all__ = ["connect"]


def connect(uri: str, options: S3Options | None = None) -> Storage:
    """Open a storage. Nothing is contacted yet.

    Parameters
    ----------
    uri
        `s3://bucket/prefix`, `file:///path` or a plain path.
    options
        How to connect to S3; None takes the defaults.

    Returns
    -------
    Storage
        The storage.

    Raises
    ------
    InputError
        For another scheme, a missing bucket, or a file:// URI with a host.
    """
    parts = urlsplit(uri)
    match parts.scheme:
        case "":
            return LocalStorage(Path(uri))
        case "file" if parts.netloc in ("", "localhost"):
            return LocalStorage(Path(unquote(parts.path)))
        case "file":
            raise InputError(f"{uri}: a file URI names no host; write file:///absolute/path")
        case "s3" if parts.netloc:
            return S3Storage(parts.netloc, parts.path.strip("/"), options or S3Options())
        case "s3":
            raise InputError(f"{uri}: the bucket is missing; write s3://bucket/prefix")
        case scheme:
            raise InputError(f"{uri}: storage {scheme}:// is not supported; use s3:// or file://")
