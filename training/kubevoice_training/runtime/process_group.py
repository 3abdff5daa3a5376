"""Processes that train together: which one this is, where they meet, and what they agree on.

Each holds the whole network and learns from its part of a batch; gradients are added up in one call after the
backward pass, so that frozen and unused parameters need no care and the sum is that of one process with the whole
batch. torchrun's environment is understood; in an Indexed Job, pods learn of each other through the artifacts'
storage, which all of them reach, so that no Service and no name is needed.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.storage import Storage
from torch import Tensor

from kubevoice_training.runtime.interruption import Interrupted

__all__ = ["World", "number", "place", "together"]

T = TypeVar("T")
MEETING = "meeting.json"
PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: they may still be fetching features."""
KNOCK = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class World:
    """One process among those that train together. Methods without effect on one alone are called by all of them."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Its number in its pod: which GPU it has."""
    local_size: int = 1
    """How many processes its pod has."""

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    def part(self, items: Sequence[T]) -> list[T]:
        """Return this process's share of what is the same list in all."""
        return list(items[self.rank :: self.size])

    def largest(self, value: int) -> int:
        """Return the largest of all processes' values."""
        if self.size == 1:
            return value
        found = torch.tensor(value)
        with _others():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Put into each tensor the sum over all processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _others():
            dist.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def told(self, say: Callable[[], T]) -> T:
        """Return, in every process, what `say` returns in the leading one; the others do not call it."""
        if self.size == 1:
            return say()
        said: list[T | None] = [say() if self.leads else None]
        with _others():
            dist.broadcast_object_list(said)
        return said[0]  # type: ignore[return-value]  # what was broadcast is a T


@contextmanager
def _others() -> Iterator[None]:
    """Turn the loss of another process, which torch calls a RuntimeError, into words."""
    try:
        yield
    except RuntimeError as error:
        raise KubeVoiceError(
            f"another process of this training ended or cannot be reached ({str(error).splitlines()[0]}); "
            "all of them go on from the last checkpoint when they are started again"
        ) from error


def number(environ: Mapping[str, str], name: str, default: int) -> int:
    """Read a number from the environment; InputError if it is none."""
    try:
        return int(environ.get(name, default))
    except ValueError:
        raise InputError(f"the environment's {name} is no number: {environ[name]!r}") from None


def place(environ: Mapping[str, str]) -> World:
    """Read from the environment which process this is.

    RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE are torchrun's (and `launch`'s). An Indexed Job gives
    JOB_COMPLETION_INDEX to each of its KUBEVOICE_NODES pods; without that index a process is alone, whatever the Job
    would be on a cluster.
    Raises InputError for what is no number.
    """
    if "RANK" in environ:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        rank, size, local_rank, local_size = (number(environ, name, 0) for name in names)
        return World(rank, max(1, size), local_rank, max(1, local_size))
    if "JOB_COMPLETION_INDEX" in environ:
        return World(number(environ, "JOB_COMPLETION_INDEX", 0), number(environ, "KUBEVOICE_NODES", 1))
    return World()


@contextmanager
def together(world: World, artifacts: Storage, prefix: str, stopping: Callable[[], bool]) -> Iterator[None]:
    """Bring the processes together for the time of the block.

    Raises KubeVoiceError if they do not meet in time, Interrupted on a stop before they did.
    """
    if world.size == 1:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _others():
        if "MASTER_ADDR" in os.environ:
            store = None
        elif world.leads:
            store = _host(world, artifacts, prefix)
        else:
            store = _guest(world, artifacts, prefix, stopping)
        dist.init_process_group(backend, store=store, rank=world.rank, world_size=world.size, timeout=PATIENCE)
    try:
        yield
    finally:
        if world.leads:
            artifacts.delete(f"{prefix}/{MEETING}")
        dist.destroy_process_group()


def _store(host: str, port: int, world: World, patience: timedelta) -> Any:
    """Open the place to meet, a TCPStore, in the leading process, or go there."""
    return dist.TCPStore(  # type: ignore[attr-defined]  # documented, but torch's types do not export it
        host, port, world.size, is_master=world.leads, timeout=patience, wait_for_workers=False
    )


def _host(world: World, artifacts: Storage, prefix: str) -> Any:
    """Open the place to meet, and write where it is."""
    host = os.environ.get("POD_IP", "127.0.0.1")
    store = _store(host, 0, world, PATIENCE)
    artifacts.write(f"{prefix}/{MEETING}", json.dumps({"host": host, "port": store.port}).encode())
    return store


def _guest(world: World, artifacts: Storage, prefix: str, stopping: Callable[[], bool]) -> Any:
    """Find the place to meet. What an earlier leader wrote leads nowhere, so it is read anew before each try."""
    key, pause = f"{prefix}/{MEETING}", Event()
    for _ in range(int(PATIENCE / KNOCK)):
        if stopping():
            raise Interrupted("stopped before the processes of this training had met")
        if artifacts.exists(key):
            where = json.loads(artifacts.read(key))
            with suppress(dist.DistNetworkError, dist.DistStoreError):
                store = _store(where["host"], where["port"], world, KNOCK)
                store.set_timeout(PATIENCE)
                return store
        pause.wait(KNOCK.total_seconds() / 5)
    raise KubeVoiceError(f"the first pod of this training never told where it is ({artifacts.uri}/{key})")
