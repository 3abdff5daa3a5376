"""Whole folders in storage: published so that a half-made one is never seen, fetched so that a changed one is found."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kubevoice.digests import hash_file, hash_json
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.storage.base import Storage, validate_key

__all__ = ["fetch_tree", "publish_tree", "published_digest", "tree_digest"]

MANIFEST = "manifest.json"
WORKERS = 8

Files = dict[str, str]


def _files(folder: Path) -> Files:
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return {name: hash_file(folder / name) for name in names if name != MANIFEST}


def _digest(files: Files) -> str:
    return f"sha256:{hash_json(files)}"


def tree_digest(folder: Path) -> str:
    """Compute the digest of a folder's files: SHA-256 over their paths and digests.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    str
        "sha256:" and 64 hex digits.
    """
    return _digest(_files(folder))


def _at(prefix: str, name: str) -> str:
    return f"{prefix.strip('/')}/{name}" if prefix else name


def _manifest(storage: Storage, prefix: str) -> Files | None:
    key = _at(prefix, MANIFEST)
    if not storage.exists(key):
        return None
    try:
        files = json.loads(storage.read(key))["files"]
        return {validate_key(str(name)): str(digest) for name, digest in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KubeVoiceError(f"{storage.uri}/{key} is not a manifest; delete it and publish the folder again") from None


def published_digest(storage: Storage, prefix: str) -> str | None:
    """Read the digest of a published tree.

    Parameters
    ----------
    storage
        Where it is.
    prefix
        Its folder.

    Returns
    -------
    str or None
        None if there is no tree, or only a part of one.
    """
    files = _manifest(storage, prefix)
    return None if files is None else _digest(files)


def publish_tree(folder: Path, storage: Storage, prefix: str) -> str:
    """Upload a folder, its manifest last. Nothing is uploaded if it is there already.

    Parameters
    ----------
    folder
        The folder.
    storage
        Where it goes.
    prefix
        Its folder there.

    Returns
    -------
    str
        The tree's digest.

    Raises
    ------
    StorageError
        If the storage cannot be reached or refuses the request.
    """
    files = _files(folder)
    digest = _digest(files)
    if published_digest(storage, prefix) == digest:
        return digest
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(storage.upload, folder / name, _at(prefix, name)) for name in files]:
            done.result()
    storage.write(_at(prefix, MANIFEST), json.dumps({"files": files}, sort_keys=True, indent=1).encode())
    return digest


def fetch_tree(storage: Storage, prefix: str, folder: Path, digest: str | None = None) -> str:
    """Download a published tree and check every file. A folder that has the tree already is left as it is.

    Parameters
    ----------
    storage
        Where it is.
    prefix
        Its folder there.
    folder
        Where it goes.
    digest
        What the tree's digest must be; None accepts any.

    Returns
    -------
    str
        The tree's digest.

    Raises
    ------
    InputError
        If nothing is published under `prefix`.
    KubeVoiceError
        If the tree or a file is not what the digest says.
    """
    where = f"{storage.uri}/{prefix}".rstrip("/")
    files = _manifest(storage, prefix)
    if files is None:
        raise InputError(f"{where}: nothing is published there ({MANIFEST} is missing)")
    actual = _digest(files)
    if digest is not None and digest != actual:
        raise KubeVoiceError(f"{where} has digest {actual}, expected {digest}; it was replaced, publish it again")
    if folder.is_dir() and tree_digest(folder) == actual:
        return actual
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        with ThreadPoolExecutor(WORKERS) as pool:
            for done in [pool.submit(_fetch, storage, prefix, name, want, temporary) for name, want in files.items()]:
                done.result()
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return actual


def _fetch(storage: Storage, prefix: str, name: str, digest: str, folder: Path) -> None:
    key = _at(prefix, name)
    storage.download(key, folder / name)
    if hash_file(folder / name) != digest:
        raise KubeVoiceError(f"{storage.uri}/{key} does not match its digest; it is damaged, publish it again")
