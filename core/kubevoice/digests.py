"""SHA-256 digests: of bytes, of files, of JSON values, and short ones for names."""

import hashlib
import json
from pathlib import Path
from typing import Any

__all__ = ["DIGEST_PATTERN", "canonical_json", "hash_file", "hash_json", "hash_text", "short_hash"]

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
"""How the digest of a data set or of a bundle is written."""
SHORT = 16
"""Hex digits of a short digest: 64 bits, enough to tell the few thousand objects of one cluster apart."""


def hash_text(content: str | bytes) -> str:
    """Return the SHA-256 of `content` (text as UTF-8) as 64 hex digits."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits; the file is read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """Write a JSON value in the one way that digests are made of: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def hash_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value as 64 hex digits; the order of its keys does not matter."""
    return hash_text(canonical_json(value))


def short_hash(content: str | bytes, digits: int = SHORT) -> str:
    """Return the first `digits` hex digits of the SHA-256 of `content`, for names of files and objects."""
    return hash_text(content)[:digits]
