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
from kubevoice.errors import KubeVoiceError
from kubevoice.storage import Storage
from torch import Tensor

from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.runtime.world import World

__all__ = ["ProcessGroup", "join_process_group"]

T = TypeVar("T")
RENDEZVOUS_FILE = "rendezvous.json"
"""Address of rank 0's TCPStore: {"host": ..., "port": ...}."""
GROUP_TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others: they may still be fetching features."""
CONNECT_TIMEOUT = timedelta(seconds=5)
"""How long one attempt to reach rank 0 may take."""


@dataclass(frozen=True, slots=True)
class ProcessGroup(World):
    """A world whose processes exchange tensors. All processes must call its methods, in the same order."""

    @property
    def device(self) -> torch.device:
        """Where this process computes: its GPU, or the CPU."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    def all_reduce_max(self, value: int) -> int:
        """Compute the maximum of all processes' values.

        Parameters
        ----------
        value
            This process's value.

        Returns
        -------
        int
            The maximum, the same in all processes.

        Raises
        ------
        KubeVoiceError
            If another process is lost.
        """
        if self.size == 1:
            return value
        maximum = torch.tensor(value)
        with _explain_lost_process():
            dist.all_reduce(maximum, dist.ReduceOp.MAX)
        return int(maximum)

    def all_reduce_sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes.

        Parameters
        ----------
        tensors
            Tensors of the same shapes in all processes; changed in place.

        Raises
        ------
        KubeVoiceError
            If another process is lost.
        """
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _explain_lost_process():
            dist.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def sum_scalars(self, scalars: Mapping[str, Tensor]) -> dict[str, float]:
        """Compute each scalar's sum over all processes.

        Parameters
        ----------
        scalars
            Scalars by name, the same names in all processes.

        Returns
        -------
        dict
            Sums by name.

        Raises
        ------
        KubeVoiceError
            If another process is lost.
        """
        total = torch.stack(list(scalars.values())).double().cpu()
        self.all_reduce_sum([total])
        return dict(zip(scalars, total.tolist(), strict=True))

    def broadcast(self, compute: Callable[[], T]) -> T:
        """Compute a value in the main process and return it in all processes.

        Parameters
        ----------
        compute
            Called in the main process only. Its result can be pickled.

        Returns
        -------
        T
            Its result.

        Raises
        ------
        KubeVoiceError
            If another process is lost.
        """
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


@contextmanager
def join_process_group(
    world: World, artifacts: Storage, prefix: str, stopping: Callable[[], bool]
) -> Iterator[ProcessGroup]:
    """Initialise torch's process group while the block runs. A single process needs no group.

    Parameters
    ----------
    world
        This process's rank and the world size.
    artifacts, prefix
        Where rank 0 writes its address, unless torchrun has set MASTER_ADDR.
    stopping
        Whether this process was asked to stop.

    Yields
    ------
    ProcessGroup
        With the ranks of `world`.

    Raises
    ------
    KubeVoiceError
        If the processes do not find each other within `GROUP_TIMEOUT`.
    Interrupted
        If this process was asked to stop before that.
    """
    group = ProcessGroup(world.rank, world.size, world.local_rank, world.local_size)
    if world.size == 1:
        yield group
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
        yield group
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
