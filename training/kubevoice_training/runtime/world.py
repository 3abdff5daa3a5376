"""The ranks of a distributed training, as its processes' environment gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kubevoice.errors import InputError

__all__ = ["World", "read_integer", "read_world"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """Which process of a training this is.

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

    def shard(self, items: Sequence[T]) -> list[T]:
        """Return this process's part of a list.

        Parameters
        ----------
        items
            The same in all processes.

        Returns
        -------
        list of T
            Every `size`-th item; may be empty.
        """
        return list(items[self.rank :: self.size])


def read_integer(environ: Mapping[str, str], name: str, default: int) -> int:
    """Read an integer from the environment.

    Parameters
    ----------
    environ
        Environment variables.
    name
        Of the variable.
    default
        Value if it is not set.

    Returns
    -------
    int
        The value.

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
    JOB_COMPLETION_INDEX in each of its KUBEVOICE_NODES pods. Without that index there is a single process, even if
    KUBEVOICE_NODES is set.

    Parameters
    ----------
    environ
        Environment variables.

    Returns
    -------
    World
        Rank and sizes.

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
