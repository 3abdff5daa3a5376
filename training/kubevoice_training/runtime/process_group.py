"""The process group of a distributed training: its ranks, their rendezvous, and collective operations.

Each process holds the whole network and computes its shard of a batch. Gradients are summed in one call after the
backward pass rather than by `DistributedDataParallel`, so that frozen and unused parameters need no care and the sum
equals that of one process with the whole batch. The environment of torchrun is understood. In an Indexed Job, rank 0
writes its address into the storage of the artifacts, which all pods reach; no Service is needed.
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

__all__ = ["World", "join_process_group", "read_integer", "read_world"]

T = TypeVar("T")
RENDEZVOUS_FILE = "rendezvous.json"
"""Address of rank 0's TCPStore: {"host": ..., "port": ...}."""
GROUP_TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others: they may still be fetching features."""
CONNECT_TIMEOUT = timedelta(seconds=5)
"""How long one attempt to reach rank 0 may take."""


@dataclass(frozen=True, slots=True)
class World:
    """One process's view of the group. The collective methods must be called by all processes, in the same order.

    Attributes
    ----------
    rank
        Number of this process among all; rank 0 is the main process.
    size
        Number of processes.
    local_rank
        Number of this process in its pod, and of the GPU it uses.
    local_size
        Number of processes in its pod.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this is rank 0, the only process that writes."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Where this process computes: its GPU, or the CPU."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    def shard(self, items: Sequence[T]) -> list[T]:
        """Return this process's share of a list that is the same in all processes; it may be empty."""
        return list(items[self.rank :: self.size])

    def all_reduce_max(self, value: int) -> int:
        """Return the maximum of all processes' values."""
        if self.size == 1:
            return value
        maximum = torch.tensor(value)
        with _explain_lost_process():
            dist.all_reduce(maximum, dist.ReduceOp.MAX)
        return int(maximum)

    def all_reduce_sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _explain_lost_process():
            dist.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def sum_scalars(self, scalars: Mapping[str, Tensor]) -> dict[str, float]:
        """Return each scalar's sum over all processes, by name."""
        total = torch.stack(list(scalars.values())).double().cpu()
        self.all_reduce_sum([total])
        return dict(zip(scalars, total.tolist(), strict=True))

    def broadcast(self, compute: Callable[[], T]) -> T:
        """Return in every process what `compute` returns in the main process; the others do not call it."""
        if self.size == 1:
            return compute()
        box: list[T | None] = [compute() if self.is_main_process else None]
        with _explain_lost_process():
            dist.broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]  # what was broadcast is a T


@contextmanager
def _explain_lost_process() -> Iterator[None]:
    """Turn the RuntimeError that torch raises for a lost process into a KubeVoiceError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        raise KubeVoiceError(
            f"another process of this training ended or cannot be reached ({str(error).splitlines()[0]}); "
            "all of them continue from the last checkpoint when they are started again"
        ) from error


def read_integer(environ: Mapping[str, str], name: str, default: int) -> int:
    """Read an integer from the environment.

    Raises
    ------
    InputError
        If the variable is not an integer.
    """
    try:
        return int(environ.get(name, default))
    except ValueError:
        raise InputError(f"the environment's {name} is not an integer: {environ[name]!r}") from None


def read_world(environ: Mapping[str, str]) -> World:
    """Read this process's rank and the world size from the environment.

    RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE are set by torchrun and by `launcher`. An Indexed Job sets
    JOB_COMPLETION_INDEX in each of its KUBEVOICE_NODES pods; without that index, as on one machine, a process is
    alone even if KUBEVOICE_NODES is set.

    Raises
    ------
    InputError
        If a variable is not an integer.
    """
    if "RANK" in environ:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        rank, size, local_rank, local_size = (read_integer(environ, name, 0) for name in names)
        return World(rank, max(1, size), local_rank, max(1, local_size))
    if "JOB_COMPLETION_INDEX" in environ:
        return World(read_integer(environ, "JOB_COMPLETION_INDEX", 0), read_integer(environ, "KUBEVOICE_NODES", 1))
    return World()


@contextmanager
def join_process_group(world: World, artifacts: Storage, prefix: str, stopping: Callable[[], bool]) -> Iterator[None]:
    """Initialise torch's process group for the time of the block; nothing happens for a single process.

    Parameters
    ----------
    world
        This process's rank and the world size.
    artifacts, prefix
        Where rank 0 writes its address, unless torchrun has set MASTER_ADDR.
    stopping
        Whether this process was asked to stop.

    Raises
    ------
    KubeVoiceError
        If the processes do not find each other within `GROUP_TIMEOUT`.
    Interrupted
        If this process was asked to stop before that.
    """
    if world.size == 1:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _explain_lost_process():
        if "MASTER_ADDR" in os.environ:
            store = None
        elif world.is_main_process:
            store = _open_rendezvous(world, artifacts, prefix)
        else:
            store = _join_rendezvous(world, artifacts, prefix, stopping)
        dist.init_process_group(backend, store=store, rank=world.rank, world_size=world.size, timeout=GROUP_TIMEOUT)
    try:
        yield
    finally:
        if world.is_main_process:
            artifacts.delete(f"{prefix}/{RENDEZVOUS_FILE}")
        dist.destroy_process_group()


def _create_store(host: str, port: int, world: World, timeout: timedelta) -> Any:
    """Open a TCPStore in the main process, or connect to it from the others."""
    return dist.TCPStore(  # type: ignore[attr-defined]  # documented, but torch's types do not export it
        host, port, world.size, is_master=world.is_main_process, timeout=timeout, wait_for_workers=False
    )


def _open_rendezvous(world: World, artifacts: Storage, prefix: str) -> Any:
    """Open the store on a free port and write its address."""
    host = os.environ.get("POD_IP", "127.0.0.1")
    store = _create_store(host, 0, world, GROUP_TIMEOUT)
    artifacts.write(f"{prefix}/{RENDEZVOUS_FILE}", json.dumps({"host": host, "port": store.port}).encode())
    return store


def _join_rendezvous(world: World, artifacts: Storage, prefix: str, stopping: Callable[[], bool]) -> Any:
    """Connect to rank 0. The address is read before each attempt, because it may still be that of an earlier run."""
    key, pause = f"{prefix}/{RENDEZVOUS_FILE}", Event()
    for _ in range(int(GROUP_TIMEOUT / CONNECT_TIMEOUT)):
        if stopping():
            raise Interrupted("stopped before the processes of this training had found each other")
        if artifacts.exists(key):
            address = json.loads(artifacts.read(key))
            with suppress(dist.DistNetworkError, dist.DistStoreError):
                store = _create_store(address["host"], address["port"], world, CONNECT_TIMEOUT)
                store.set_timeout(GROUP_TIMEOUT)
                return store
        pause.wait(CONNECT_TIMEOUT.total_seconds() / 5)
    raise KubeVoiceError(f"rank 0 of this training did not write its address ({artifacts.uri}/{key})")
