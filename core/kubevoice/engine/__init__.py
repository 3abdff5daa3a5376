"""Speech from a voice bundle with ONNX Runtime and numpy alone: what serving, the release gate and `say` share."""

from kubevoice.engine.controls import Controls
from kubevoice.engine.decoding import Batch
from kubevoice.engine.engine import Engine
from kubevoice.engine.reading import Script, script_of
from kubevoice.engine.speaking import read_aloud, speak_parts
from kubevoice.session import open_session

__all__ = ["Batch", "Controls", "Engine", "Script", "open_session", "read_aloud", "script_of", "speak_parts"]
