"""Which contents a VoiceModel's stages would read now: what `plan` compares with the contents they have read."""

import json
import time
from pathlib import Path

from kubevoice.digests import hash_file, hash_text, short_hash
from kubevoice.resources.voicemodel import VoiceModel
from kubevoice.storage import S3Options, connect, list_contents
from kubevoice.voice.builtin import builtin_voice

from kubevoice_operator.local.files import write_atomically

__all__ = ["FileDigests", "hash_inputs"]

SETTLED_NS = 2_000_000_000
"""A file that was changed less than this before it was read may change again without another time."""


class FileDigests:
    """SHA-256 digests of files, kept in a file: a file is read again only if its size, times or inode changed.

    Parameters
    ----------
    path
        The file with the digests; it does not have to exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[int | str]] = {}  # size, times and inode, then the digest, of each file
        self._read: dict[str, list[int | str]] = {}  # the same of the files that were asked for
        try:
            self._known = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return  # all files are read

    def digest(self, path: Path) -> str:
        """Return the digest of a file.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        str
            64 hex digits.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        now, stat, name = time.time_ns(), path.stat(), str(path)
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        known = self._known.get(name)
        digest = str(known[-1]) if isinstance(known, list) and known[:-1] == state else hash_file(path)
        if now - max(stat.st_mtime_ns, stat.st_ctime_ns) > SETTLED_NS:
            self._read[name] = [*state, digest]
        return digest

    def save(self) -> None:
        """Write the digests of all files that were asked for."""
        write_atomically(self._path, json.dumps(self._read))


def hash_inputs(model: VoiceModel, folder: Path) -> str:
    """Compute a hash of the contents of a VoiceModel's dataset, if it has one, and base voice.

    Parameters
    ----------
    model
        The VoiceModel.
    folder
        Where digests of files are kept.

    Returns
    -------
    str
        16 hex digits of a SHA-256.

    Raises
    ------
    InputError
        If there is no such built-in voice.
    StorageError
        If the storage cannot be reached or refuses the request.
    """
    dataset, options = model.spec.dataset, model.spec.storage.s3_options()
    contents: dict[str, str] = {}
    if dataset is not None:
        digests = FileDigests(folder / f"{short_hash(dataset.uri)}.json")
        contents = list_contents(connect(dataset.uri, options), digests.digest)
        digests.save()
    return short_hash(json.dumps([contents, _hash_base(model.spec.base.uri, options)], sort_keys=True))


def _hash_base(uri: str, options: S3Options) -> str:
    """Return the digest of a base voice's manifest, which has the digests of its other files."""
    storage = connect(str(builtin_voice(uri)) if uri.startswith("builtin://") else uri, options)
    return hash_text(storage.read("voice.json")) if storage.exists("voice.json") else ""
