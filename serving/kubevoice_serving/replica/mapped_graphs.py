"""Graphs whose weights are mapped from files in the cache instead of copied into the memory of each process.

ONNX Runtime maps weights that are in a file of their own, as it computes with them: in the precision of the computation
and packed for the processor. A graph is written in this form once, when its bundle has been verified. Mapped weights
are shared by the processes of a node, and the system may drop them and read them again.
"""

import fcntl
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import onnxruntime
from kubevoice.digests import hash_file, short_hash
from kubevoice.errors import KubeVoiceError
from kubevoice.session import computes_on_gpu, open_session

__all__ = ["MappedGraphs"]

logger = logging.getLogger(__name__)

GRAPH, DIGESTS = "graph.onnx", "digests.json"


class MappedGraphs:
    """Opens graphs from a folder in which each has a folder of its own, named by the digest of its file.

    Parameters
    ----------
    folder : Path
        The folder; created when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, digest: str, path: Path, threads: int) -> onnxruntime.InferenceSession:
        """Open a graph, and write its mapped form unless that is here. Without disk space it is opened as it is.

        Parameters
        ----------
        digest : str
            SHA-256 of its file.
        path : Path
            Its file, which has this digest.
        threads : int
            ONNX Runtime threads.

        Returns
        -------
        onnxruntime.InferenceSession
            The session.

        Raises
        ------
        KubeVoiceError
            If ONNX Runtime cannot load the graph.
        """
        if computes_on_gpu():
            return open_session(path, threads)
        target = self._folder / f"{digest[:32]}-{_platform_key()}"
        try:
            with self._lock(target):
                if not _is_intact(target):
                    _write_mapped(path, target, threads)
            return open_session(target / GRAPH, threads)
        except (OSError, KubeVoiceError) as error:
            logger.warning("%s is not mapped: %s", path, error)
            return open_session(path, threads)

    @contextmanager
    def _lock(self, target: Path) -> Iterator[None]:
        """Let one process at a time write a graph."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with target.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _write_mapped(path: Path, target: Path, threads: int) -> None:
    """Write the mapped form of a graph; it becomes visible as a whole."""
    temporary = target.with_suffix(".part")
    for folder in (temporary, target):
        shutil.rmtree(folder, ignore_errors=True)
    temporary.mkdir()
    open_session(path, threads, optimized=temporary / GRAPH)
    digests = {file.name: hash_file(file) for file in temporary.iterdir()}
    (temporary / DIGESTS).write_text(json.dumps(digests), "utf-8")
    temporary.replace(target)


def _is_intact(target: Path) -> bool:
    try:
        digests = json.loads((target / DIGESTS).read_bytes())
        return GRAPH in digests and all(hash_file(target / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError, TypeError):
        return False


@cache
def _platform_key() -> str:
    """Name what the packed weights depend on: the version of ONNX Runtime, and the processor's instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return short_hash(f"{onnxruntime.__version__} {features}")
