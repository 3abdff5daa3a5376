"""Checkpoints of a running training in the artifacts, from which it is resumed.

A checkpoint counts once `latest.json` names it with its digest, and that file is written last. So one that was
uploaded in part is never loaded, and a lost pod costs at most the steps since the last save. If a checkpoint was
damaged later, the one before it is loaded.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch
from kubevoice.digests import hash_file
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.storage import Storage

__all__ = ["CheckpointStore"]

LATEST = "latest.json"
RETAINED = 3
"""How many of the newest checkpoints are retained, besides the best."""


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """A checkpoint as `latest.json` lists it.

    Attributes
    ----------
    name
        Of the file.
    step
        Steps made.
    sha256
        Of the file, in hex.
    dev_loss
        Loss on held-out clips; None if the step was not evaluated.
    """

    name: str
    step: int
    sha256: str
    dev_loss: float | None


def _dev_loss(entry: CheckpointEntry) -> float:
    """Return the dev loss as a sort key."""
    return math.inf if entry.dev_loss is None else entry.dev_loss


def select_retained(entries: Sequence[CheckpointEntry]) -> list[CheckpointEntry]:
    """Select the newest checkpoints and the one with the lowest dev loss.

    Parameters
    ----------
    entries
        All checkpoints.

    Returns
    -------
    list of CheckpointEntry
        Those to retain, oldest first.
    """
    by_step = sorted(entries, key=lambda entry: entry.step)
    best = min((e for e in by_step if e.dev_loss is not None), key=_dev_loss, default=None)
    return [entry for entry in by_step if entry in by_step[-RETAINED:] or entry is best]


class _HashingWriter:
    """A file to write to that computes the SHA-256 of what is written.

    Parameters
    ----------
    file
        Where the bytes go.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write bytes after the ones before; return their number."""
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self._file.flush()

    @property
    def sha256(self) -> str:
        """Digest of all that was written, in hex."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """The checkpoints of one run in a storage.

    Attributes
    ----------
    storage, prefix
        Where they are.
    scratch
        Local folder through which they are read, and written if the storage is not on disk. Nothing stays there.
    """

    storage: Storage
    prefix: str
    scratch: Path

    def save(self, step: int, state: dict[str, Any], dev_loss: float | None = None) -> None:
        """Write a checkpoint, add it to `latest.json`, and delete those that are not retained.

        Parameters
        ----------
        step
            Steps made.
        state
            What `torch.load(weights_only=True)` can read: tensors, numbers, strings, lists and dicts.
        dev_loss
            Loss on held-out clips; None if the step was not evaluated.
        """
        name = f"step-{step:08d}.pt"
        with self.storage.create(f"{self.prefix}/{name}", self.scratch) as file:
            writer = _HashingWriter(file)
            try:
                torch.save(state, cast(IO[bytes], writer))
            except RuntimeError as error:
                # torch reports what the file refused, such as a full disk, as an inconsistent archive.
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        entry = CheckpointEntry(name, step, writer.sha256, dev_loss)
        entries = select_retained([*(e for e in self._entries() if e.step != step), entry])
        pointer = {"step": step, "kept": [dataclasses.asdict(e) for e in entries]}
        self.storage.write(f"{self.prefix}/{LATEST}", json.dumps(pointer, indent=1).encode())
        self._prune({e.name for e in entries})

    def load_newest(self) -> dict[str, Any] | None:
        """Load the newest undamaged checkpoint.

        Returns
        -------
        dict
            Its state; None if there is no checkpoint yet.

        Raises
        ------
        KubeVoiceError
            If all checkpoints are damaged.
        """
        return self._load_first_undamaged(sorted(self._entries(), key=lambda entry: -entry.step))

    def load_best(self) -> dict[str, Any] | None:
        """Load the undamaged checkpoint with the lowest dev loss.

        Returns
        -------
        dict
            Its state; None if no step was evaluated.

        Raises
        ------
        KubeVoiceError
            If all that were evaluated are damaged.
        """
        return self._load_first_undamaged(sorted((e for e in self._entries() if e.dev_loss is not None), key=_dev_loss))

    def _entries(self) -> list[CheckpointEntry]:
        key = f"{self.prefix}/{LATEST}"
        if not self.storage.exists(key):
            return []
        try:
            return [CheckpointEntry(**entry) for entry in json.loads(self.storage.read(key))["kept"]]
        except (ValueError, KeyError, TypeError):
            raise KubeVoiceError(f"{self.storage.uri}/{key} is damaged; delete it to train from the start") from None

    def _load_first_undamaged(self, entries: Iterable[CheckpointEntry]) -> dict[str, Any] | None:
        damaged = []
        for entry in entries:
            if (state := self._read(entry)) is not None:
                return state
            damaged.append(entry.name)
            print(f"checkpoint {entry.name} is missing or damaged; trying another", flush=True)
        if damaged:
            raise KubeVoiceError(
                f"every checkpoint of {self.storage.uri}/{self.prefix} is damaged ({', '.join(damaged)}); "
                f"delete {LATEST} there to train from the start"
            )
        return None

    def _read(self, entry: CheckpointEntry) -> dict[str, Any] | None:
        """Return a checkpoint's state; None if it is missing or its digest is not the recorded one."""
        local = self.scratch / entry.name
        try:
            self.storage.download(f"{self.prefix}/{entry.name}", local)
            if hash_file(local) != entry.sha256:
                return None
            state: dict[str, Any] = torch.load(local, map_location="cpu", weights_only=True)
        except InputError:
            return None
        finally:
            local.unlink(missing_ok=True)
        return state

    def _prune(self, names: set[str]) -> None:
        """Delete all checkpoints but the named ones, including those that `latest.json` never listed."""
        for item in list(self.storage.list(f"{self.prefix}/")):
            if item.key.endswith(".pt") and item.key.rpartition("/")[2] not in names:
                self.storage.delete(item.key)
