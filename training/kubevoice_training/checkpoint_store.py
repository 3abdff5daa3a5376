"""Checkpoints of a running training: written as they are made, picked up by whoever continues.

A checkpoint exists once `latest.json` names it with its digest, and that file is written last: a half-uploaded one
is never picked, and a lost pod costs at most the steps since the last save.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kubevoice.errors import KubeVoiceError
from kubevoice.storage import Storage

__all__ = ["CheckpointStore"]

LATEST = "latest.json"
KEPT = 2
"""How many checkpoints stay: the newest, and the one before for a reader that is just fetching it."""


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """Checkpoints under `prefix` of `storage`, passing through the local folder `scratch`."""

    storage: Storage
    prefix: str
    scratch: Path

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint and point to it; older ones but `KEPT` are deleted."""
        name = f"step-{step:08d}.pt"
        local = self.scratch / name
        torch.save(state, local)
        self.storage.upload(local, f"{self.prefix}/{name}")
        pointer = {"name": name, "step": step, "sha256": hashlib.sha256(local.read_bytes()).hexdigest()}
        self.storage.write(f"{self.prefix}/{LATEST}", json.dumps(pointer).encode())
        local.unlink()
        self._prune()

    def load(self) -> dict[str, Any] | None:
        """Return the newest checkpoint, or None if there is none yet.

        Raises KubeVoiceError if it does not match its digest.
        """
        if not self.storage.exists(f"{self.prefix}/{LATEST}"):
            return None
        pointer = json.loads(self.storage.read(f"{self.prefix}/{LATEST}"))
        local = self.scratch / pointer["name"]
        self.storage.download(f"{self.prefix}/{pointer['name']}", local)
        if hashlib.sha256(local.read_bytes()).hexdigest() != pointer["sha256"]:
            raise KubeVoiceError(
                f"checkpoint {self.storage.uri}/{self.prefix}/{pointer['name']} does not match its digest; "
                f"delete {LATEST} beside it to train from the start"
            )
        state: dict[str, Any] = torch.load(local, map_location="cpu", weights_only=True)
        local.unlink()
        return state

    def _prune(self) -> None:
        names = sorted(item.key for item in self.storage.list(f"{self.prefix}/") if item.key.endswith(".pt"))
        for name in names[:-KEPT]:
            self.storage.delete(name)
