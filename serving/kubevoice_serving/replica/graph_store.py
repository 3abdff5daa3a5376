"""The graphs of a replica: those of equal content are loaded once and shared by all voices that have them."""

import ctypes
import threading
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakValueDictionary

import onnxruntime
from kubevoice.engine import Engine
from kubevoice.session import open_session
from kubevoice.text import analyse
from kubevoice.voice import GRAPHS, Bundle

from kubevoice_serving.replica.mapped_graphs import MappedGraphs

__all__ = ["GraphCosts", "GraphStore", "measure_graphs", "trim_memory"]

GraphCosts = Mapping[str, int]
"""Bytes that each graph of a voice is accounted for, by the digest of its file."""

MEMORY_FACTOR = 3.0
"""Memory of a loaded graph over the size of its file: weights of 16 bits become 32, and some are packed again. With the
shipped voice 2.7 was measured. Of that, mapped weights can be dropped by the system (see `mapped_graphs`)."""


def measure_graphs(bundle: Bundle) -> GraphCosts:
    """Estimate the memory of a bundle's graphs from the sizes of their files.

    Parameters
    ----------
    bundle : Bundle
        A verified bundle.

    Returns
    -------
    GraphCosts
        MEMORY_FACTOR bytes for each byte of a file, by the file's digest.
    """
    files = bundle.manifest.files
    return {files[name]: round(MEMORY_FACTOR * (bundle.path / name).stat().st_size) for name in GRAPHS}


def trim_memory() -> None:
    """Return the memory of unloaded voices to the system, which glibc would keep for later allocations.

    Other C libraries return it themselves.
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


class GraphStore:
    """Opens engines. A session has no state, so voices whose files have the same digest share it.

    A session ends with the last engine that uses it.

    Parameters
    ----------
    mapped : MappedGraphs or None
        Opens graphs with mapped weights; None copies the weights into memory, which takes no time the first time.
    """

    def __init__(self, mapped: MappedGraphs | None = None) -> None:
        self._mapped = mapped
        self._sessions: WeakValueDictionary[tuple[str, int], onnxruntime.InferenceSession] = WeakValueDictionary()
        """Sessions in use, by digest and number of threads."""
        self._lock = threading.Lock()
        """Engines are opened one at a time: two would take the same cores, and could load a graph twice."""

    def open_engine(self, bundle: Bundle, threads: int, *, warm_up: bool = True) -> Engine:
        """Load a verified bundle, sharing the graphs that are loaded already.

        Parameters
        ----------
        bundle : Bundle
            The bundle.
        threads : int
            ONNX Runtime threads of each graph.
        warm_up : bool
            Whether to synthesize once, so that no request pays for ONNX Runtime's first run.

        Returns
        -------
        Engine
            The engine.

        Raises
        ------
        KubeVoiceError
            If ONNX Runtime cannot load a graph.
        """
        with self._lock:
            engine = Engine(bundle, threads=threads, opener=lambda path, count: self._open(bundle, path, count))
            if warm_up:
                engine.synthesize(analyse("你好。").sentences[0].units)
            return engine

    def _open(self, bundle: Bundle, path: Path, threads: int) -> onnxruntime.InferenceSession:
        key = bundle.manifest.files[path.name], threads
        session = self._sessions.get(key)
        if session is None:
            session = self._mapped.open(key[0], path, threads) if self._mapped else open_session(path, threads)
            self._sessions[key] = session
        return session
