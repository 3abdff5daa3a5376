"""Export to ONNX: four graphs that onnxruntime runs without torch, each checked against the network it came from.

The graphs' inputs and outputs are the bundle's contract (docs/bundle.md).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from kubevoice.engine import open_session
from kubevoice.errors import KubeVoiceError
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from kubevoice_training.export.decoder_graph import DecoderGraph
from kubevoice_training.export.encoder_graph import EncoderGraph, PostNetGraph
from kubevoice_training.export.vocoder_graph import VocoderGraph
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.models.sambert import Sambert

__all__ = ["TOLERANCE", "build_graph_factories", "export_graphs"]

OPSET = 17
SMALLEST_COMPACTED = 256
"""Numbers in a tensor below which storing it otherwise is not worth a node."""
TOLERANCE = 2e-3
"""Graphs that differ by more than this (mel and pitch are of unit deviation, audio of unit peak) are refused."""


@dataclass(frozen=True, slots=True)
class _ExportGraph:
    """A network to export: example inputs by name, which of their axes are open, and the outputs' names."""

    network: nn.Module
    inputs: dict[str, Tensor]
    axes: dict[str, dict[int, str]]
    outputs: tuple[str, ...]


def _build_encoder(model: Sambert, symbols: int) -> _ExportGraph:
    c, generator = model.config, torch.Generator().manual_seed(symbols)
    sizes = {"sy": c.sy, "tone": c.tone, "syllable_flag": c.syllable_flag, "word_segment": c.word_segment}
    ids = {k: torch.randint(0, size - 3, (symbols,), generator=generator) for k, size in sizes.items()}
    weights = {
        "emotion_weights": F.one_hot(torch.full((symbols,), 1), c.emotions).float(),
        "speaker_weights": F.one_hot(torch.zeros(symbols, dtype=torch.int64), c.speakers).float(),
    }
    controls = {
        "duration_scale": torch.full((symbols,), 1.1),
        "pitch_shift": torch.full((symbols,), 0.1),
        "energy_shift": torch.full((symbols,), -0.1),
    }
    inputs = ids | weights | controls
    outputs = ("memory", "memory_keys", "memory_values", "durations", "frames", "pitch", "energy")
    return _ExportGraph(EncoderGraph(model), inputs, {name: {0: "symbols"} for name in inputs}, outputs)


def _build_decoder(model: Sambert, past: int) -> _ExportGraph:
    """Of two utterances, one of which sees a place less."""
    c, generator = model.config, torch.Generator().manual_seed(past)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def mask(places: int) -> Tensor:
        hidden = torch.zeros(2, 1, places)
        hidden[0, ..., -1] = -torch.inf
        return hidden

    heads = c.decoder_layers * c.decoder_heads
    cache = (2, heads, past, c.decoder_units // c.decoder_heads)
    text = (2, heads, past + 2, cache[-1])
    inputs = {
        "frame": noise(2, c.n_mels),
        "memory": noise(2, c.memory_width),
        "memory_keys": noise(*text),
        "memory_values": noise(*text),
        "memory_mask": mask(past + 2),
        "past_keys": noise(*cache),
        "past_values": noise(*cache),
        "past_mask": mask(past + 1),
    }
    axes = {name: {0: "utterances"} for name in inputs}
    for name, window, places in (("memory", "ahead", "ahead"), ("past", "past", "past_and_now")):
        axes[f"{name}_keys"] |= {2: window}
        axes[f"{name}_values"] |= {2: window}
        axes[f"{name}_mask"] |= {2: places}
    return _ExportGraph(DecoderGraph(model), inputs, axes, ("frames", "key", "value"))


def _build_postnet(model: Sambert, frames: int) -> _ExportGraph:
    """Within an utterance, so that every state counts."""
    network, generator = PostNetGraph(model), torch.Generator().manual_seed(frames)
    mel = torch.randn(frames, model.config.n_mels, generator=generator)
    inputs = {"mel": mel, "valid": torch.ones(network.delay + frames), "skip": torch.tensor([frames // 5])}
    inputs |= {name: torch.randn(*shape, generator=generator) for name, shape in network.states.items()}
    axes = {"mel": {0: "frames"}, "valid": {0: "places"}}
    return _ExportGraph(network, inputs, axes, ("mel_out", *(f"next_{name}" for name in network.states)))


def _build_vocoder(vocoder: Generator, bins: int, frames: int) -> _ExportGraph:
    mel = torch.randn(frames, bins, generator=torch.Generator().manual_seed(frames))
    graph = _ExportGraph(VocoderGraph(vocoder), {"mel": mel}, {"mel": {0: "frames"}}, ("audio",))
    if (source := vocoder.config.source) is None:
        return graph
    generator, harmonics = torch.Generator().manual_seed(frames), source.overtones + 1
    noise = torch.randn(frames * vocoder.config.hop, harmonics, generator=generator)
    phase = torch.rand(harmonics, generator=generator)
    graph.inputs["mel"][:, -1] = graph.inputs["mel"][:, -1].sign()  # in doubt of voicing, rounding would decide
    return replace(
        graph,
        inputs=graph.inputs | {"noise": noise, "phase": phase},
        axes=graph.axes | {"noise": {0: "samples"}},
    )


def _write_graph(graph: _ExportGraph, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of shapes it fixes, which the check below would show
        torch.onnx.export(
            graph.network.eval(),
            tuple(graph.inputs.values()),
            str(path),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=graph.axes,
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.save(_compact(onnx.load(path)), path)


def _compact(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store what float16 holds exactly as float16: half the size for weights that were rounded before.

    onnxruntime turns them back as it loads the graph, so it computes the same with them.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if values.size < SMALLEST_COMPACTED or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _measure_difference(graph: _ExportGraph, path: Path) -> float:
    """Largest absolute difference between the ONNX file and the network on the graph's inputs."""
    session = open_session(path, threads=1)
    feeds = {name: value.numpy() for name, value in graph.inputs.items()}
    got: list[NDArray[np.float32]] = session.run(list(graph.outputs), feeds)
    expected = graph.network(*graph.inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    shapes = [(g.shape, tuple(e.shape)) for g, e in zip(got, expected, strict=True)]
    if any(g != e for g, e in shapes):
        raise KubeVoiceError(f"exported {path.name} answers with shapes {shapes}; report this as a bug")
    return max(float(np.abs(g - e.numpy()).max(initial=0.0)) for g, e in zip(got, expected, strict=True))


def build_graph_factories(acoustic: Sambert, vocoder: Generator) -> dict[str, Callable[[int], _ExportGraph]]:
    """Return a function for each graph that builds it with example inputs.

    Parameters
    ----------
    acoustic
        The acoustic model; it is set to evaluation mode.
    vocoder
        The vocoder; it is set to evaluation mode.

    Returns
    -------
    dict
        Functions by name of the graph's file. Each takes the number of symbols or frames of its example inputs.
    """
    acoustic, vocoder = acoustic.eval(), vocoder.eval()
    bins = acoustic.config.n_mels
    return {
        "encoder.onnx": lambda size: _build_encoder(acoustic, size),
        "decoder.onnx": lambda size: _build_decoder(acoustic, size),
        "postnet.onnx": lambda size: _build_postnet(acoustic, size),
        "vocoder.onnx": lambda size: _build_vocoder(vocoder, bins, size),
    }


@torch.inference_mode(False)
@torch.no_grad()
def export_graphs(acoustic: Sambert, vocoder: Generator, folder: Path) -> dict[str, float]:
    """Write the four ONNX graphs of a voice, and compare them with torch.

    Each graph is exported at one length and compared at others.

    Parameters
    ----------
    acoustic
        The acoustic model; it is set to evaluation mode.
    vocoder
        The vocoder; it is set to evaluation mode.
    folder
        Where the graphs are written; it exists.

    Returns
    -------
    dict
        Largest absolute difference from torch by file name.

    Raises
    ------
    KubeVoiceError
        If a graph differs by more than `TOLERANCE`.
    """
    differences = {}
    for name, make in build_graph_factories(acoustic, vocoder).items():
        _write_graph(make(11), folder / name)
        differences[name] = max(_measure_difference(make(size), folder / name) for size in (5, 23))
        if not differences[name] <= TOLERANCE:
            raise KubeVoiceError(f"exported {name} differs from torch by {differences[name]:.2g}; not released")
    return differences
