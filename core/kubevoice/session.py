"""ONNX Runtime sessions with the options that KubeVoice uses."""

import logging
import os
from functools import cache
from pathlib import Path

import onnxruntime

from kubevoice.errors import KubeVoiceError

__all__ = ["computes_on_gpu", "open_session"]

logger = logging.getLogger(__name__)
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

onnxruntime.disable_telemetry_events()  # nothing is sent to a third party


def open_session(path: Path, threads: int, *, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    """Load an ONNX graph, on the GPU if ONNX Runtime can use one, otherwise on the CPU.

    Parameters
    ----------
    path
        The ONNX file.
    threads
        Threads within one operator.
    optimized
        Where to write the graph as ONNX Runtime computes it, with its weights in a file beside it, packed for this
        processor, which ONNX Runtime maps; None writes nothing.

    Returns
    -------
    onnxruntime.InferenceSession
        The session.

    Raises
    ------
    KubeVoiceError
        If ONNX Runtime cannot load the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread pool that spins takes CPU time from the other replicas of the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # With an arena of its own, each graph would keep the memory of its largest run for good.
    _register_shared_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = 3
    if optimized:
        options.optimized_model_filepath = str(optimized)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights.bin")
        options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    available = onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=[provider for provider in (CUDA, CPU) if provider in available]
        )
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise KubeVoiceError(f"{path} cannot be run by ONNX Runtime {onnxruntime.__version__}: {error}") from error
    if os.environ.get("CUDA_VISIBLE_DEVICES") and CUDA not in session.get_providers():
        _warn_of_idle_gpu()
    return session


def computes_on_gpu() -> bool:
    """Return whether ONNX Runtime can use a GPU.

    Returns
    -------
    bool
        Whether it was built for one.
    """
    return CUDA in onnxruntime.get_available_providers()


@cache
def _register_shared_arena() -> None:
    """Make one arena for the intermediate results of all graphs of this process that run on the CPU."""
    arena = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", arena, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(memory, None)


@cache
def _warn_of_idle_gpu() -> None:
    """Log once that the GPU of this process is not used."""
    logger.warning(
        "this process has a GPU (CUDA_VISIBLE_DEVICES), but ONNX Runtime %s computes on the CPU: add "
        "onnxruntime-gpu and its CUDA libraries to the image, or remove the GPU from the pod",
        onnxruntime.__version__,
    )
