"""The exported graphs of a voice against its torch networks, over ten texts, on what they are really asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kubevoice.engine import Controls, Engine, open_session, synthesize_text
from kubevoice.voice import Bundle
from numpy.typing import NDArray
from torch import Tensor, nn

from kubevoice_training.export.onnx_export import build_graph_factories
from kubevoice_training.voice_checkpoint import VoiceWeights

__all__ = ["TEXTS", "ExportDifferences", "measure_export_differences"]

TEXTS = (
    "你好。",
    "今天天气真好！",
    "我在银行工作。",
    "一点儿也不难。",
    "你吃过饭了吗？",
    "请说慢一点。",
    "他买了三本书，两支笔。",
    "绿色的女式雨衣。",
    "下午四点十分开会。",
    "谢谢您的帮助，再见。",
)


@dataclass(frozen=True, slots=True)
class ExportDifferences:
    """Largest absolute difference from torch by name of the graph.

    Mel and pitch have unit deviation, audio has unit peak.

    Attributes
    ----------
    onnx
        Differences of the ONNX graphs.
    torchscript
        Differences of the TorchScript modules; empty if none were compared.
    """

    onnx: dict[str, float]
    torchscript: dict[str, float]


class _ComparingSession:
    """A graph's session for the engine, which also runs torch and perhaps TorchScript on the same inputs."""

    def __init__(self, session: Any, network: nn.Module, script: nn.Module | None) -> None:
        self._session, self._network, self._script = session, network, script
        self._names = [node.name for node in session.get_outputs()]
        self._order = [node.name for node in session.get_inputs()]
        self.difference, self.script_difference = 0.0, 0.0
        """Largest differences from torch so far, of the graph and of TorchScript. Written by `run`."""

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        inputs = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in feeds.items()}
        results: list[NDArray[Any]] = self._session.run(self._names, dict(feeds))
        with torch.no_grad():
            expected = _as_tuple(self._network(**inputs))
            self.difference = max(self.difference, _max_difference(results, expected))
            if self._script is not None:
                # By place: a traced module forgets the names of optional inputs.
                scripted = [value.numpy() for value in _as_tuple(self._script(*(inputs[name] for name in self._order)))]
                self.script_difference = max(self.script_difference, _max_difference(scripted, expected))
        return [results[self._names.index(name)] for name in (outputs or self._names)]


def _as_tuple(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def _max_difference(results: Sequence[NDArray[Any]], expected: Sequence[Tensor]) -> float:
    """Compare all but numbers of frames: where a duration is nearly half a frame, rounding may fall either way.

    What is as long as the frames then has another length and is not compared; the durations themselves are.
    """
    pairs = [(a, b.numpy()) for a, b in zip(results, expected, strict=True) if b.is_floating_point()]
    return max(float(np.abs(a - b).max(initial=0.0)) for a, b in pairs if a.shape == b.shape)


def measure_export_differences(
    bundle: Bundle, weights: VoiceWeights, scripts: Mapping[str, nn.Module] | None = None
) -> ExportDifferences:
    """Synthesize ten texts in different emotions, and compare each output of each graph with that of torch.

    Parameters
    ----------
    bundle
        The exported voice.
    weights
        Its networks.
    scripts
        TorchScript modules by the name of the graph they correspond to, such as encoder.onnx; None compares none.

    Returns
    -------
    ExportDifferences
        The largest difference of each graph.
    """
    networks = {
        name: make(5).network.eval() for name, make in build_graph_factories(weights.acoustic, weights.vocoder).items()
    }
    compared: dict[str, _ComparingSession] = {}

    def opener(path: Path, threads: int) -> _ComparingSession:
        script = (scripts or {}).get(path.name)
        compared[path.name] = _ComparingSession(open_session(path, threads), networks[path.name], script)
        return compared[path.name]

    engine = Engine(bundle, opener=opener)
    emotions = [emotion.label for emotion in engine.manifest.emotions]
    for number, text in enumerate(TEXTS):
        synthesize_text(engine, text, Controls(emotion=emotions[number % len(emotions)]))
    return ExportDifferences(
        {name: each.difference for name, each in compared.items()},
        {name: each.script_difference for name, each in compared.items()} if scripts else {},
    )
