"""Checkpoints of a running training: written as they are made, picked up by whoever continues.

A checkpoint exists once `latest.json` names it with its digest, and that file is written last: a half-uploaded one
is never picked, and a lost pod costs at most the steps since the last save. One that was damaged since gives way to
the one before it.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kubevoice.digests import hash_file
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.storage import Storage

__all__ = ["CheckpointStore"]

LATEST = "latest.json"
KEPT = 3
"""How many of the newest checkpoints stay, besides the best."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint as `latest.json` names it; `dev_loss` is None where it was not measured."""

    name: str
    step: int
    sha256: str
    dev_loss: float | None


def _worth(entry: Entry) -> float:
    return math.inf if entry.dev_loss is None else entry.dev_loss


def kept(entries: Sequence[Entry]) -> list[Entry]:
    """Return the newest ones and the best, oldest first."""
    by_step = sorted(entries, key=lambda entry: entry.step)
    best = min((e for e in by_step if e.dev_loss is not None), key=_worth, default=None)
    return [entry for entry in by_step if entry in by_step[-KEPT:] or entry is best]


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """Checkpoints under `prefix` of `storage`, passing through the local folder `scratch`."""

    storage: Storage
    prefix: str
    scratch: Path

    def save(self, step: int, state: dict[str, Any], dev_loss: float | None = None) -> None:
        """Write a checkpoint, point to it, and delete those that are neither new nor best."""
        name = f"step-{step:08d}.pt"
        local = self.scratch / name
        torch.save(state, local)
        self.storage.upload(local, f"{self.prefix}/{name}")
        entry = Entry(name, step, hash_file(local), dev_loss)
        entries = kept([*(e for e in self._entries() if e.step != step), entry])
        pointer = {"step": step, "kept": [dataclasses.asdict(e) for e in entries]}
        self.storage.write(f"{self.prefix}/{LATEST}", json.dumps(pointer, indent=1).encode())
        local.unlink()
        self._prune({e.name for e in entries})

    def newest(self) -> dict[str, Any] | None:
        """Return the newest checkpoint that is whole, or None if there is none yet.

        Raises KubeVoiceError if there are some and all are damaged.
        """
        return self._first_whole(sorted(self._entries(), key=lambda entry: -entry.step))

    def best(self) -> dict[str, Any] | None:
        """Return the whole checkpoint with the lowest dev loss; None if none was measured.

        Raises KubeVoiceError if those that were are damaged.
        """
        return self._first_whole(sorted((e for e in self._entries() if e.dev_loss is not None), key=_worth))

    def _entries(self) -> list[Entry]:
        key = f"{self.prefix}/{LATEST}"
        if not self.storage.exists(key):
            return []
        try:
            return [Entry(**entry) for entry in json.loads(self.storage.read(key))["kept"]]
        except (ValueError, KeyError, TypeError):
            raise KubeVoiceError(f"{self.storage.uri}/{key} is damaged; delete it to train from the start") from None

    def _first_whole(self, entries: Iterable[Entry]) -> dict[str, Any] | None:
        damaged = []
        for entry in entries:
            if (state := self._read(entry)) is not None:
                return state
            damaged.append(entry.name)
            print(f"checkpoint {entry.name} is missing or damaged; looking for another", flush=True)
        if damaged:
            raise KubeVoiceError(
                f"no checkpoint of {self.storage.uri}/{self.prefix} is whole ({', '.join(damaged)}); "
                f"delete {LATEST} there to train from the start"
            )
        return None

    def _read(self, entry: Entry) -> dict[str, Any] | None:
        """Return a checkpoint's state, or None unless it is the file that was saved."""
        local = self.scratch / entry.name
        try:
            self.storage.download(f"{self.prefix}/{entry.name}", local)
        except InputError:
            return None
        if hash_file(local) != entry.sha256:
            return None
        state: dict[str, Any] = torch.load(local, map_location="cpu", weights_only=True)
        local.unlink()
        return state

    def _prune(self, names: set[str]) -> None:
        """Delete all checkpoints but the named ones, also those that were uploaded and never pointed to."""
        for item in list(self.storage.list(f"{self.prefix}/")):
            if item.key.endswith(".pt") and item.key.rpartition("/")[2] not in names:
                self.storage.delete(item.key)
