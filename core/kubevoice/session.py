"""ONNX Runtime sessions as everything here wants them."""

from pathlib import Path

import onnxruntime

from kubevoice.errors import KubeVoiceError

__all__ = ["open_session"]

onnxruntime.disable_telemetry_events()  # what a team speaks, and on what machines, is its own business


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load a graph for the CPU. Raises KubeVoiceError if ONNX Runtime refuses it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread pool steals the core its neighbour replica computes on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise KubeVoiceError(f"{path} cannot be run by ONNX Runtime {onnxruntime.__version__}: {error}") from error
