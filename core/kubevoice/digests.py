"""SHA-256 digests: of bytes, of files, of JSON values, and short ones for names."""

import hashlib
import json
from pathlib import Path
from typing import Any

__all__ = ["DIGEST_PATTERN", "canonical_json", "hash_file", "hash_json", "hash_text", "short_digest", "short_hash"]

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
"""How the digest of a dataset or of a bundle is written."""
SHORT = 16
"""Hex digits of a short digest: 64 bits, enough to tell the few thousand objects of one cluster apart."""


def hash_text(content: str | bytes) -> str:
    """Compute the SHA-256 of text or bytes.

    Parameters
    ----------
    content
        Text is hashed as UTF-8.

    Returns
    -------
    str
        64 hex digits.
    """
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """Compute the SHA-256 of a file's content, which is read in blocks.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        64 hex digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_digest(digest: str) -> str:
    """Shorten a digest for people and labels.

    Parameters
    ----------
    digest
        A digest, with or without `sha256:`.

    Returns
    -------
    str
        Its first 12 digits.
    """
    return digest.removeprefix("sha256:")[:12]


def canonical_json(value: Any) -> str:
    """Write a JSON value in the form that digests are computed of: keys sorted, no spaces.

    Parameters
    ----------
    value
        What `json` can write.

    Returns
    -------
    str
        The JSON text.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def hash_json(value: Any) -> str:
    """Compute the SHA-256 of a JSON value; the order of its keys does not matter.

    Parameters
    ----------
    value
        What `json` can write.

    Returns
    -------
    str
        64 hex digits.
    """
    return hash_text(canonical_json(value))


def short_hash(content: str | bytes, digits: int = SHORT) -> str:
    """Compute a short hash for names of files and objects.

    Parameters
    ----------
    content
        Text is hashed as UTF-8.
    digits
        Number of hex digits.

    Returns
    -------
    str
        The first `digits` hex digits of the SHA-256.
    """
    return hash_text(content)[:digits]
