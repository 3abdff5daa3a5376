"""ONNX Runtime sessions as everything here wants them."""

import logging
import os
from functools import cache
from pathlib import Path

import onnxruntime

from kubevoice.errors import KubeVoiceError

__all__ = ["open_session"]

logger = logging.getLogger(__name__)
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

onnxruntime.disable_telemetry_events()  # what a team speaks, and on what machines, is its own business


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load a graph, for the GPU where this ONNX Runtime can use one and else for the CPU.

    Raises KubeVoiceError if ONNX Runtime refuses it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread pool steals the core its neighbour replica computes on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    there = onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=[provider for provider in (CUDA, CPU) if provider in there]
        )
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise KubeVoiceError(f"{path} cannot be run by ONNX Runtime {onnxruntime.__version__}: {error}") from error
    if os.environ.get("CUDA_VISIBLE_DEVICES") and CUDA not in session.get_providers():
        _warn_of_idle_gpu()
    return session


@cache
def _warn_of_idle_gpu() -> None:
    """Say so once: whoever gave this process a GPU pays for it."""
    logger.warning(
        "this process was given a GPU (CUDA_VISIBLE_DEVICES), but ONNX Runtime %s computes on the CPU: put "
        "onnxruntime-gpu and its CUDA libraries into the image, or take the GPU away",
        onnxruntime.__version__,
    )
