"""Synthesis from a voice bundle with ONNX Runtime and numpy alone; serving, the quality gate and `say` share it."""

from kubevoice.engine.controls import Controls
from kubevoice.engine.decoder import DecoderScheduler
from kubevoice.engine.engine import Engine
from kubevoice.engine.script import Script, build_script
from kubevoice.engine.synthesis import synthesize_parts, synthesize_text
from kubevoice.session import open_session

__all__ = [
    "Controls",
    "DecoderScheduler",
    "Engine",
    "Script",
    "build_script",
    "open_session",
    "synthesize_parts",
    "synthesize_text",
]
